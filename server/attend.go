package server

import "time"

const (
	// hashEvery is how many more bytes in a row are hashed at once, beside the loop, and
	// hashMost the most: what waits for its turn waits no longer than that takes.
	hashEvery = 8 << 20
	hashMost  = 256 << 20
	// flushEvery is after how many bytes they are flushed; else it is about once a second.
	flushEvery = 64 << 20
)

// attend has done beside the loop what is due for an extended payload: that what was taken
// survives a loss of power, and that the digest goes on with what has come in a row.
func (s *Ledger) attend(t *transaction) {
	x := t.ext
	if t.busy || t.phase != open || x.unkept || s.cfg.Fleet != nil {
		return
	}
	if x.dirty { // some of it is not written yet: burst comes back here
		return
	}
	place := x.place
	if n := x.bytes(); x.due || n-x.flushed >= flushEvery {
		x.due, x.flushed = false, n
		s.attended(t, place.Sync, s.unwritten)
		return
	}
	if len(x.have.rs) == 0 || x.have.rs[0].First > 0 {
		return
	}
	prefix := min(x.size, (x.have.rs[0].Last+1)*x.segment, x.hashed+hashMost)
	if prefix-x.hashed < hashEvery {
		return
	}
	x.hashed = prefix
	s.attended(t, func() error { return place.Hash(prefix) }, func(_ time.Time, t *transaction, err error) {
		if t.err == nil {
			t.err = err // who publishes meets it again
		}
	})
}

// attended does a job, and then what has become due meanwhile.
func (s *Ledger) attended(t *transaction, job func() error, failed func(time.Time, *transaction, error)) {
	t.busy = true
	s.beside(func() func(time.Time) {
		err := job()
		return func(now time.Time) {
			t.busy = false
			switch {
			case err != nil && t.phase == open:
				failed(now, t, err)
			case err != nil && t.err == nil:
				t.err = err
			}
			switch {
			case t.phase == settling:
				s.concludeBlocks(t)
			case s.closed:
				s.end(now, t)
			default:
				s.attend(t)
			}
		}
	})
}

// flushes has flushed what was taken since the last time. What is busy comes later.
func (s *Ledger) flushes() {
	for _, t := range s.unflushed {
		if x := t.ext; x != nil {
			x.listed, x.due = false, true
			s.attend(t)
		}
	}
	clear(s.unflushed)
	s.unflushed = s.unflushed[:0]
}
