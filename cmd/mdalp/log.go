package main

import (
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lmittmann/tint"
	"golang.org/x/sys/unix"
)

// newLogger writes to standard error: warnings only, or with -v what happens, or
// with -vv every datagram; in colour on a terminal unless NO_COLOR is set.
func newLogger(verbose int) *slog.Logger {
	level := slog.LevelWarn
	switch {
	case verbose == 1:
		level = slog.LevelInfo
	case verbose >= 2:
		level = slog.LevelDebug
	}
	if isTerminal(os.Stderr) {
		return slog.New(tint.NewTextHandler(os.Stderr, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000", NoColor: os.Getenv("NO_COLOR") != "", ReplaceAttr: printable,
		}))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: shorten}))
}

// shorten rounds durations to what a person reads.
func shorten(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().Round(time.Microsecond).String())
	}
	return a
}

// printable replaces what would steer the terminal: names of receivers come from
// strangers, and tint lets escape sequences through.
func printable(_ []string, a slog.Attr) slog.Attr {
	text := ""
	switch v := a.Value.Any().(type) {
	case string:
		text = v
	case error:
		text = v.Error()
	}
	if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		a.Value = slog.StringValue(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return unicode.ReplacementChar
			}
			return r
		}, text))
	}
	return a
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
