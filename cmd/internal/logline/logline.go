// Package logline makes lines of a log fit for those who read them: programs, which want
// numbers and units, and people.
package logline

import (
	"log/slog"
	"time"
)

// JSON replaces what JSON would show badly, as slog.HandlerOptions.ReplaceAttr: durations
// become numbers of milliseconds, with the unit in the key, and errors their text, as they
// would be empty objects else.
func JSON(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case time.Duration:
		return slog.Float64(a.Key+"_ms", float64(v)/float64(time.Millisecond))
	case error:
		return slog.String(a.Key, v.Error())
	}
	return a
}
