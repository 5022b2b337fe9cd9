package nats

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
)

// Publish implements [engine.Settled]. It tries until ctx is done: the stream drops the
// doubles that come of it, as long as it knows the message ID.
func (e *Engine) Publish(ctx context.Context, r *engine.Record) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return err
	}
	e.stats.settled.Add(1)
	for {
		err := e.publish(ctx, r)
		switch {
		case err == nil:
			return nil
		case lasting(err):
			return fmt.Errorf("nats: TID %d is not in the stream of what has settled: %w", r.TID, err)
		case !wait(ctx, pause):
			return e.away(err)
		}
	}
}

func (e *Engine) publish(ctx context.Context, r *engine.Record) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	_, err := e.js.Publish(ctx, e.settledSubject(), r.Marshal(),
		jetstream.WithMsgID(strconv.FormatInt(r.TID, 10)))
	return err
}
