package nats

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
)

// tidKey is the key of a transaction. Another key of the bucket is syncKey.
func tidKey(tid int64) string { return "t." + strconv.FormatInt(tid, 10) }

const syncKey = "sync"

// Create implements [engine.Ledger].
func (e *Engine) Create(ctx context.Context, r *engine.Record) (uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return 0, err
	}
	e.measured()
	if err := e.room.take(len(r.Marshal())); err != nil {
		return 0, fmt.Errorf("nats: TID %d: %w", r.TID, e.advised(err))
	}
	rev, err := e.write(ctx, r, 0)
	if errors.Is(err, engine.ErrConflict) {
		err = fmt.Errorf("%w: TID %d", engine.ErrExists, r.TID)
	}
	return rev, err
}

// Update implements [engine.Ledger].
func (e *Engine) Update(ctx context.Context, r *engine.Record, revision uint64) (uint64, error) {
	return e.write(ctx, r, revision)
}

// write writes a record in place of that revision; 0 is none. Neither that nothing is answered
// nor that it comes too late is the outcome: who led before, and does not know yet that it does
// not, says so of what it knew, while who leads now has written. So what is there decides, and as
// long as that does not, the same write is tried again.
func (e *Engine) write(ctx context.Context, r *engine.Record, revision uint64) (uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return 0, err
	}
	e.stats.writes.Add(1)
	mine := *r
	mine.Write = rand.Text() // no two writes are alike
	key, value := tidKey(r.TID), mine.Marshal()
	for {
		next, err := e.put(ctx, key, value, revision)
		switch {
		case err == nil:
			return next, nil
		case wrongRevision(err):
			next, known := e.outcome(ctx, key, value, revision)
			if known && next > 0 {
				return next, nil
			}
			if known {
				e.stats.conflicts.Add(1)
				return 0, fmt.Errorf("%w: TID %d", engine.ErrConflict, r.TID)
			}
		case lasting(err):
			return 0, fmt.Errorf("nats: TID %d: %w", r.TID, e.advised(err))
		}
		e.stats.repeats.Add(1)
		if !wait(ctx, pause) {
			return 0, e.away(err)
		}
	}
}

// put is one try.
func (e *Engine) put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if revision == 0 {
		return e.ledger.Create(ctx, key, value)
	}
	return e.ledger.Update(ctx, key, value, revision)
}

// outcome looks who has written in place of a revision, when known. It gives the new revision if
// that was us, and 0 if it was another, or if there is no such revision to be replaced.
func (e *Engine) outcome(
	ctx context.Context, key string, value []byte, revision uint64,
) (next uint64, known bool) {
	there, err := e.read(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		missing, _ := e.missing(ctx, key)
		return 0, missing && revision > 0
	case err != nil:
		return 0, false
	case bytes.Equal(there.Value(), value):
		return there.Revision(), true
	case there.Revision() > revision:
		return 0, true
	}
	// It is what we want to replace, or older: what is read may be. Revisions rise in the whole
	// ledger, so that one beyond a write of now was none.
	now, err := e.sync.after(ctx)
	return 0, err == nil && revision > now
}

// Get implements [engine.Ledger].
func (e *Engine) Get(ctx context.Context, tid int64) (*engine.Record, uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return nil, 0, err
	}
	e.stats.reads.Add(1)
	key := tidKey(tid)
	for {
		there, err := e.read(ctx, key)
		if err == nil {
			r, err := parseRecord(key, there.Value())
			if err != nil { // nothing that is tried again changes it
				return nil, 0, err
			}
			return r, there.Revision(), nil
		}
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			var missing bool
			if missing, err = e.missing(ctx, key); missing {
				return nil, 0, fmt.Errorf("%w: TID %d", engine.ErrNotFound, tid)
			}
		} else if lasting(err) {
			return nil, 0, fmt.Errorf("nats: TID %d: %w", tid, err)
		}
		if !wait(ctx, pause) {
			return nil, 0, e.away(err)
		}
	}
}

func (e *Engine) read(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return e.ledger.Get(ctx, key)
}

// missing makes sure that a key was not there when it was called. A leader that is cut off
// answers for some seconds from what it knew. So a small write goes first, which takes a
// quorum, and who answers must know of it.
func (e *Engine) missing(ctx context.Context, key string) (bool, error) {
	revision, err := e.sync.after(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	s, err := e.js.Stream(ctx, "KV_"+e.ledgerName())
	if err != nil {
		return false, err
	}
	subject := "$KV." + e.ledgerName() + "." + key
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return false, err
	}
	return info.State.LastSeq >= revision && info.State.Subjects[subject] == 0, nil
}

// mark writes the key that stands for nothing, and gives its revision.
func (e *Engine) mark(ctx context.Context) (uint64, error) {
	e.stats.syncs.Add(1)
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return e.ledger.Put(ctx, syncKey, nil)
}

// Unsettled implements [engine.Ledger]. It is a view that is kept up to date, and is held to
// be so when it has a write of now.
func (e *Engine) Unsettled(ctx context.Context) ([]engine.Entry, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	e.follow()
	before := e.records.told()
	revision, err := e.sync.after(ctx)
	for err != nil {
		if lasting(err) {
			return nil, fmt.Errorf("nats: the ledger: %w", e.advised(err))
		}
		if !wait(ctx, pause) {
			return nil, e.away(err)
		}
		revision, err = e.sync.after(ctx)
	}
	if revision <= before { // the stream was made anew, or is one that was kept aside
		e.records.restart()
	}
	if err := e.records.reach(ctx, revision); err != nil {
		return nil, e.away(err)
	}
	var all []engine.Entry
	senseless := 0
	e.records.each(func(s seen) {
		if _, ok := s.value.(error); ok {
			senseless++
			return
		}
		r := *s.value.(*engine.Record)
		all = append(all, engine.Entry{Record: &r, Revision: s.revision})
	})
	e.senseless.Store(int64(senseless))
	return all, nil
}

// unsettled keeps, of the ledger, what has not ended, and why a record cannot be read.
func (e *Engine) unsettled(key string, value []byte) any {
	if !strings.HasPrefix(key, "t.") {
		return nil
	}
	r, err := parseRecord(key, value)
	if err != nil {
		e.spoiled(key, err)
		return err
	}
	if r.State.Ended() {
		return nil
	}
	return r
}

// parseRecord reads the record that stands under a key.
func parseRecord(key string, value []byte) (*engine.Record, error) {
	r, err := engine.ParseRecord(value)
	if err == nil && tidKey(r.TID) != key {
		r, err = nil, fmt.Errorf("%w: it is that of transaction %d", engine.ErrRecord, r.TID)
	}
	if err != nil {
		return nil, fmt.Errorf("nats: %.80q: %w", key, err)
	}
	r.Write = "" // it has done its part
	return r, nil
}
