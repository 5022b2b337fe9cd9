package nats

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
)

// What the fleet has in the engine may be gone while its parts run: somebody has deleted a stream, or
// all servers have lost their disks. Nothing would bring it back but a start of a part, so that each
// part looks, and makes it anew.

const (
	// watchEvery is how often a part asks whether all is there while nothing fails; once something did,
	// it asks after watchPause.
	watchEvery = 30 * time.Second
	watchPause = time.Second
	// goneFor is how long a stream must be gone until it is made anew. Nobody could say meanwhile that
	// he is there, so whoever acknowledged by that does so no more: an empty registry tells the truth.
	goneFor = engine.Lives + 2*time.Second
)

// watch makes streams anew that are gone, until ctx is done.
func (e *Engine) watch(ctx context.Context) {
	var since time.Time // the first of them was gone
	failed, looked := e.stats.away.Load(), time.Now()
	for wait(ctx, watchPause) {
		now := e.stats.away.Load()
		if now == failed && since.IsZero() && time.Since(looked) < watchEvery {
			continue
		}
		failed, looked = now, time.Now()
		gone, err := e.gone(ctx)
		switch {
		case err != nil || len(gone) == 0: // what is not known is not gone
			since = time.Time{}
		case since.IsZero():
			since = looked
			e.log.Error("the engine has streams of the fleet no more; they are made anew, empty, unless"+
				" they come back", "streams", gone, "in", goneFor)
		case looked.Sub(since) >= goneFor && e.renew(ctx) == nil:
			since = time.Time{}
			e.log.Warn("streams of the fleet were made anew; what was in them is lost", "streams", gone)
		}
	}
}

// gone gives the streams that the engine says it has not.
func (e *Engine) gone(ctx context.Context) (names []string, err error) {
	for _, c := range e.streams() {
		try, cancel := context.WithTimeout(ctx, attempt)
		s, err := e.js.Stream(try, c.Name)
		cancel()
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			names = append(names, c.Name)
		case err != nil:
			return nil, err
		default:
			e.noteStream(s.CachedInfo())
		}
	}
	return names, nil
}

// noteStream takes what the engine says of a stream. Of a ledger that was made anew since, what was told
// of the former one counts no more.
func (e *Engine) noteStream(i *jetstream.StreamInfo) {
	if i.Config.Name != "KV_"+e.ledgerName() {
		return
	}
	e.room.note(i)
	// Before all buckets were there once nothing was told.
	if e.records != nil && !e.born.IsZero() && !e.born.Equal(i.Created) {
		e.records.restart()
	}
	e.born = i.Created
}

// renew makes what is gone, and says again whose directory the fleet has: else the next who starts
// would make his the fleet's, whatever it is.
func (e *Engine) renew(ctx context.Context) error {
	for _, c := range e.streams() {
		if err := e.makeStream(ctx, c); err != nil {
			return err
		}
	}
	e.mu.Lock()
	mine := e.joined
	e.mu.Unlock()
	if mine == "" {
		return nil
	}
	token, err := e.Token(ctx, mine)
	if err == nil && token != mine {
		e.log.Error("the engine has another directory for the fleet's than this part has; stop all that"+
			" were started since, and start this one anew", "has", token, "mine", mine)
	}
	return err
}
