package fleet

import (
	"context"
	"errors"
	"time"

	"mdalp/fleet/engine"
	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

// A base payload has no digest that tells whether all of it is there: what its client was told
// to have arrived must be among what the settling orchestrator reads. A receiver that answers
// says what it has, and takes nothing more. One that does not, perhaps because it is cut off
// from the engine, might go on. So it acknowledges segments of the base protocol only for as
// long as the registry is sure to have it, and who settles waits until the registry has it no
// more.

// leaseFor is how long a receiver may acknowledge base segments after it last began to say
// that it is there. Who settles counts engine.Lives from when he was told, which is later, by his
// own clock; the rest is for clocks that do not run alike.
const leaseFor = engine.Lives - 2*time.Second

// errStill says that a receiver does not answer and may be acknowledging still.
var errStill = errors.New("a receiver does not answer, and is not known to be gone")

// A lease is until when base segments are acknowledged. It goes on to run out while the machine is
// suspended, as the others count on.
type lease struct {
	until time.Time
	slept time.Duration // of the machine, when it began
	term  int           // counts the times that it had ended before it was renewed
}

// renew takes that the engine was told at began, when the machine had slept for so long.
func (l *lease) renew(now, began time.Time, slept, then time.Duration) {
	if l.over(now, slept) {
		l.term++
	}
	l.until, l.slept = began.Add(leaseFor), then
}

// over reports whether it has run out.
func (l *lease) over(now time.Time, slept time.Duration) bool {
	return !now.Add(slept - l.slept).Before(l.until)
}

// slept is how long the machine has been suspended. It is read once for all that came together.
func (r *Receiver) slept(now time.Time) time.Duration {
	if r.cfg.Slept != nil && !now.Equal(r.woke) {
		r.sleeps, r.woke = r.cfg.Slept(), now
	}
	return r.sleeps
}

// leased reports whether a base segment of s, the datagram at hand, may be acknowledged. Who has
// no lease drops it. Where the lease had ended meanwhile, s may have been settled without this
// receiver, and the engine is asked again.
func (r *Receiver) leased(now time.Time, s *stand, e *loop.Envelope) bool {
	if !r.lease.over(now, r.slept(now)) {
		if s.term == r.lease.term {
			return true
		}
		if r.end(now, s, unknown); s.state == unknown {
			r.wait(s, e)
			r.ask(now, s)
			return false
		}
	}
	r.counts.Dropped++
	return false
}

// stale reports whether an acknowledgement comes too late: it is of a base segment, and a write
// that blocked the loop has outlasted the lease.
func (r *Receiver) stale(ack []byte) bool {
	if r.cfg.Now == nil {
		return false
	}
	if now := r.cfg.Now(); !r.lease.over(now, r.slept(now)) {
		return false
	}
	m, err := wire.Parse(ack)
	s := r.stands[m.TID]
	return err == nil && s != nil && s.state == base
}

// settled asks the receivers of a base payload for the last time, until each has answered or
// is gone.
func (t *trans) settled() (g server.Gathered, err error) {
	err = t.turns(0, func(r *engine.Record) { r.State, r.Base = engine.Settling, true })
	if err != nil {
		return g, err
	}
	for n := 0; ; n++ {
		if g, err = t.ask(true, true); !errors.Is(err, errStill) {
			return g, err
		}
		if t.s.left() {
			return g, server.ErrElsewhere
		}
		t.s.again(n)
	}
}

// gone fails with errStill unless the registry is sure to have a receiver no more.
func (s *store) gone(id string) error {
	ctx, cancel := context.WithTimeout(s.ctx, writeFor)
	defer cancel()
	if gone, err := s.engine.Gone(ctx, id); err != nil || !gone {
		return errStill
	}
	return nil
}
