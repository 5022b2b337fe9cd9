package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mdalp/fleet/engine"
)

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func orPause(f func(context.Context, time.Duration)) func(context.Context, time.Duration) {
	if f != nil {
		return f
	}
	return func(ctx context.Context, d time.Duration) {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
}

func orContext(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

func orLog(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// nameable says whether an ID is fit for the name of a file and of a key.
func nameable(id string) error {
	if !engine.Nameable(id) {
		return fmt.Errorf("fleet: an ID is 1 to 64 letters, digits, dashes and underscores, and not %q", id)
	}
	return nil
}
