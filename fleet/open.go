package fleet

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"mdalp/fleet/engine"
	"mdalp/server"
)

// opened is what the engine and the directory said of a transaction.
type opened struct {
	rec     *engine.Record
	part    *server.Part
	spool   *server.Writer
	missing bool // the engine knows nothing of it
	term    int  // of the lease when it was asked
	err     error
}

// ask asks the engine what a transaction is, and opens its files.
func (r *Receiver) ask(now time.Time, s *stand) {
	if s.asking {
		return
	}
	s.asking = true
	r.counts.Asked++
	tid, term, numbered := s.tid, r.lease.term, s.numbered
	s.numbered = false
	r.cfg.Beside(func() func(time.Time) {
		o := r.openFiles(tid, numbered)
		o.term = term
		return func(now time.Time) { r.opened(now, s, &o) }
	})
}

// openFiles is called beside the loop.
func (r *Receiver) openFiles(tid int64, numbered bool) (o opened) {
	ctx, cancel := context.WithTimeout(r.cfg.Context, writeFor)
	defer cancel()
	if o.rec, o.err = r.read(ctx, tid, numbered); o.err != nil {
		o.missing = errors.Is(o.err, engine.ErrNotFound)
		return o
	}
	if !slices.ContainsFunc(o.rec.Receivers, func(s engine.Station) bool { return s.ID == r.cfg.ID }) {
		o.missing, o.err = true, engine.ErrNotFound
		return o
	}
	m := server.Meta{TID: tid, Segment: int(o.rec.Segment), Client: o.rec.Client, Offered: o.rec.Offered,
		Name: o.rec.Name}
	switch {
	case o.rec.State.Ended():
	case o.rec.Sealed() && (r.opener == nil || o.rec.Bytes == 0): // its segments come when it has a place
		o.missing, o.err = true, errSealed
	case o.rec.Bytes > 0:
		o.part, o.err = r.shared.OpenPart(m, o.rec.Bytes, r.cfg.ID)
		if errors.Is(o.err, fs.ErrNotExist) { // it has its name by now, or soon a file
			o.missing = true
		}
	default:
		m.Segment = server.DefaultSegmentLimit
		o.spool, o.err = r.shared.OpenSpool(m, r.cfg.ID)
	}
	return o
}

// read reads the record of a transaction. What it says may be of a while ago. For an extended
// payload that does not matter, as its file is gone when it is over. Who takes segments of the base
// protocol must know that nobody is settling them, so that the same is written once more: that
// goes well for the newest record alone. numbered says that a segment waits that is none of those.
func (r *Receiver) read(ctx context.Context, tid int64, numbered bool) (*engine.Record, error) {
	for {
		rec, rev, err := r.cfg.Engine.Get(ctx, tid)
		if err != nil || numbered || rec.State.Ended() || rec.State == engine.Settling || rec.Bytes > 0 ||
			rec.Sealed() {
			return rec, err
		}
		_, err = r.cfg.Engine.Update(ctx, rec, rev)
		if !errors.Is(err, engine.ErrConflict) || ctx.Err() != nil {
			return rec, err
		}
	}
}

// unopen ends a transaction whose file cannot be made, for want of room perhaps: its client is refused, and
// others would try for ever to go on with it.
func (t *trans) unopen() {
	t.change(briefTries, func(r *engine.Record) {
		if r.State == engine.Open {
			r.State = engine.Void
		}
	})
}
