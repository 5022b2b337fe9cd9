package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/lmittmann/tint"

	"mdalp/cmd/internal/logline"
	"mdalp/cmd/internal/progress"
	"mdalp/cmd/internal/usage"
)

// newLogger writes to standard error: warnings only, or with -v what happens, or with
// -vv every datagram, or with -q (-1) nothing but errors; in colour on a terminal unless
// NO_COLOR is set. send replaces it by one that minds its bars and formats, see newWatcher.
func newLogger(verbose int) *slog.Logger {
	return slog.New(newHandler(stderr, "text", level(verbose)))
}

// level gives what -v, so many times, lets through; -1 is -q.
func level(verbose int) slog.Level {
	switch {
	case verbose < 0:
		return slog.LevelError // the session has no such lines: what ends it, main tells
	case verbose == 0:
		return slog.LevelWarn
	case verbose == 1:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// newHandler writes log lines to w, which leads to standard error, as text or JSON. w
// may be the screen, which makes room above the bars, so the terminal is looked for in
// standard error itself.
func newHandler(w io.Writer, format string, level slog.Level) slog.Handler {
	switch {
	case format == "json":
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: logline.JSON})
	// Elsewhere lines are key=value, for grep and for the journal.
	case progress.IsTerminal(os.Stderr):
		return tint.NewTextHandler(w, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000",
			NoColor: os.Getenv("NO_COLOR") != "", ReplaceAttr: printable,
		})
	}
	// slog's own handler quotes what is not printable, so it needs no printable.
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: shorten})
}

// shorten rounds durations to what a person reads.
func shorten(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().Round(time.Microsecond).String())
	}
	return a
}

// printable replaces what would steer the terminal: names of receivers come from
// strangers, and tint lets escape sequences through. It even makes one of the four
// letters \x1b, so that these are written in another way.
func printable(_ []string, a slog.Attr) slog.Attr {
	text := ""
	switch v := a.Value.Any().(type) {
	case string:
		text = v
	case error:
		text = v.Error()
	case fmt.Stringer: // an address may have a zone
		text = v.String()
	}
	if clean := strings.ReplaceAll(usage.Text(text), `\x1b`, `\033`); clean != text {
		a.Value = slog.StringValue(clean)
	}
	return a
}
