package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A ledger that is full takes no write, that of a transaction's end neither: its client would not
// be told what became of it until others' records have aged. So nothing begins in what is left of
// it when it is nearly full.

const (
	// reserved is how much of the ledger is for transactions that have begun, of a hundred.
	reserved = 10
	// measureEvery is how often the engine is asked what the ledger holds; perRecord is about
	// what one takes there beside its bytes.
	measureEvery = 2 * time.Second
	perRecord    = 150
)

// A room is how full the ledger is, as it was told last, with what was begun here since.
type room struct{ held, most atomic.Int64 }

// note takes what the engine says.
func (r *room) note(i *jetstream.StreamInfo) {
	r.held.Store(int64(i.State.Bytes))
	r.most.Store(i.Config.MaxBytes)
}

// take takes room for a record of n bytes of a transaction that begins.
func (r *room) take(n int) error {
	most := r.most.Load()
	held := r.held.Add(int64(n) + perRecord)
	if most <= 0 || held <= most/100*(100-reserved) {
		return nil
	}
	r.held.Add(-int64(n) - perRecord)
	return fmt.Errorf("%w: the ledger holds %d bytes of %d", errLedgerFull, held, most)
}

var errLedgerFull = errors.New("no room for a new transaction")

// measure keeps the room up to date.
func (e *Engine) measure(ctx context.Context) {
	for wait(ctx, measureEvery) {
		try, cancel := context.WithTimeout(ctx, attempt)
		s, err := e.js.Stream(try, "KV_"+e.ledgerName())
		cancel()
		if err == nil {
			e.room.note(s.CachedInfo())
		}
	}
}

// full reports whether an error is of a bucket that takes nothing more.
func full(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, errLedgerFull) ||
		errors.As(err, &api) && api.ErrorCode == storeFailed && strings.HasPrefix(api.Description, "maximum")
}
