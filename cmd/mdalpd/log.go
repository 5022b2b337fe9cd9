package main

import (
	"fmt"
	"log/slog"
	"time"

	"mdalp/cmd/internal/asyncio"
	"mdalp/cmd/internal/logline"
)

const (
	// stamp is how slog writes the time.
	stamp = "2006-01-02T15:04:05.000Z07:00"
	// logRoom is how many bytes of log may wait for a standard error that takes nothing.
	logRoom = 1 << 20
	// lastWords is how long the end waits for the log to be written.
	lastWords = 2 * time.Second
)

// newLog makes the log to w, as text or JSON. Where lines are missing because w took nothing,
// a line of the same form says so.
func newLog(w *asyncio.Writer, format string) *slog.Logger {
	if format == "json" {
		w.Notice = func(n int) string {
			return fmt.Sprintf(
				`{"time":"%s","level":"WARN","msg":"lines of this log are lost","lines":%d}`+"\n",
				time.Now().Format(stamp), n)
		}
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: logline.JSON}))
	}
	w.Notice = func(n int) string {
		return fmt.Sprintf("time=%s level=WARN msg=\"lines of this log are lost\" lines=%d\n",
			time.Now().Format(stamp), n)
	}
	return slog.New(slog.NewTextHandler(w, nil))
}
