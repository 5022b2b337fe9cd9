package loop

import (
	"context"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// fairness is how many rounds may pass without asking the poller, while one socket
// alone keeps the loop busy.
const fairness = 16

// leastDatagram is the least that a datagram takes of a receive buffer, in bytes: what
// the kernel needs to describe an empty one.
const leastDatagram = 768

// A runner is the state of one Run.
type runner struct {
	ctx   context.Context
	h     Handler
	socks []*Socket
	boxes []*inbox
	poll  *poller
	spin  spinner
	pace  tempo
	out   *outbox
	errs  errbox
	ctl   control
	z     zones
	env   Envelope

	base, now time.Time
	at        time.Time // when Expire is due, if due
	due       bool
	stamped   bool // some socket is
	posted    bool // the Waker has something to call
	blocked   bool // the first datagram of out waits for room to send
	coalesce  coalescer
	hot       int    // the socket that received last
	caught    int    // datagrams that hot received while spinning
	bulk      bool   // what came last is a part of much
	got       uint64 // datagrams in all
	skipped   int    // rounds since the poller was asked
	looked    bool   // the poller told of all sockets when Expire was due already
	waited    int    // rounds that Expire was put off for datagrams
	backlog   int    // the most rounds that what a receive buffer holds can take
}

// Run drives h over socks until h has ended and everything it gave is sent, which
// gives nil; until ctx is done, which gives [context.Cause]; or until a socket is
// broken (EBADF and the like), which gives an [os.SyscallError]. It does not close the
// sockets, and a socket is in one Run at a time: EBUSY otherwise. The calling
// goroutine keeps its thread for as long.
//
// One round of the loop reads the clock once, takes at most one batch of datagrams
// from each readable socket, expires what is due, and sends at most one batch. It
// goes round again without sleeping while either batch was full, so answers are
// read while a long burst still goes out.
func Run(ctx context.Context, h Handler, socks ...*Socket) error { return drive(ctx, nil, h, socks) }

// drive is Run with a Waker, if w is not nil.
func drive(ctx context.Context, w *Waker, h Handler, socks []*Socket) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// Moving between threads would cost the caches of a core, and the thread's
	// affinity and network namespace are the caller's choice.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := newRunner(ctx, w, h, socks)
	if err != nil {
		return err
	}
	defer r.close()
	for {
		if done, err := r.round(); done || err != nil {
			return err
		}
	}
}

func newRunner(ctx context.Context, w *Waker, h Handler, socks []*Socket) (r *runner, err error) {
	r = &runner{ctx: ctx, h: h, out: newOutbox(), spin: newSpinner(), pace: tempo{need: minBusy},
		base: time.Now()}
	r.now = r.base
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for _, s := range socks {
		if s.closed.Load() {
			return r, os.NewSyscallError("epoll_ctl", unix.EBADF)
		}
		if !s.running.CompareAndSwap(false, true) {
			return r, os.NewSyscallError("epoll_ctl", unix.EBUSY)
		}
		r.socks = append(r.socks, s)
		control := s.opts.PacketInfo || s.opts.Stamp || s.merged
		if s.in, err = r.inbox(s.opts.MaxDatagram, control); err != nil {
			return r, err
		}
		r.stamped = r.stamped || s.opts.Stamp
		r.backlog = max(r.backlog, s.granted/leastDatagram/batch+1)
	}
	r.poll, err = newPoller(ctx, w, r.socks)
	return r, err
}

// inbox gives a socket the inbox that fits it.
func (r *runner) inbox(size int, control bool) (*inbox, error) {
	for _, in := range r.boxes {
		if in.size == size && in.control == control {
			return in, nil
		}
	}
	in, err := newInbox(size, control)
	if err == nil {
		r.boxes = append(r.boxes, in)
	}
	return in, err
}

func (r *runner) close() {
	if r.poll != nil {
		r.poll.close()
	}
	for _, in := range r.boxes {
		in.free()
	}
	for _, s := range r.socks {
		s.in, s.ready, s.failed, s.writing = nil, false, false, false
		s.running.Store(false)
	}
}

// clock reads the time without a system call and without the wall clock: one vDSO
// reading, 25 ns or so.
func (r *runner) clock() time.Time { return r.base.Add(time.Since(r.base)) }

// round is one turn of the loop, the sleep at its end included.
func (r *runner) round() (done bool, err error) {
	prev := r.now
	r.now = r.clock()
	gap := r.now.Sub(prev)
	r.poll.busy = r.pace.round(gap)
	if n := r.caught; n > 0 {
		r.caught = 0
		r.receive(r.hot, n)
	}
	again, err := r.fetchReady()
	if err != nil {
		return true, err
	}
	if r.posted {
		r.called()
	}
	// When Expire was due before this round is enough to know: if a datagram has just
	// made something due, the next round comes at once.
	if r.due && !r.at.After(r.now) {
		if again, done, err = r.overdue(again); done || err != nil {
			return true, err
		}
	} else {
		r.waited = 0
	}
	full, err := r.transmit()
	if err != nil {
		return true, err
	}
	at, ok := r.h.Next()
	r.at, r.due = at, ok
	if !ok && !full && !r.blocked {
		return true, nil
	}
	if r.skipped++; again && r.skipped < fairness {
		return false, nil
	}
	// Nothing waits to be done but what is due later.
	idle := !again && !full
	d := time.Duration(-1)
	if ok {
		// After a long round now is too old to time a short wait by.
		if d = at.Sub(r.now); d < rawWait && d > 0 {
			d = at.Sub(r.clock())
		}
		idle = idle && d > 0
	}
	if idle && r.skipped < fairness && !r.bulk && r.spin.worth(gap) && !r.blocked && len(r.socks) > 0 &&
		r.spinning(d) {
		return false, nil
	}
	r.skipped = 0
	return r.sleep(d, idle && !r.lookAway(gap, d), ok && d <= 0)
}

// fetchReady takes the errors and one batch of datagrams from each socket that has
// some; again tells that one of them may have more.
func (r *runner) fetchReady() (again bool, err error) {
	for i, s := range r.socks {
		if s.failed {
			s.failed = false
			r.drain(i)
		}
		if s.ready {
			if err := r.fetch(i); err != nil {
				return false, err
			}
			again = again || s.ready
		}
	}
	return again, nil
}

// overdue calls Expire, once the datagrams are handed over that were there when it fell
// due: an answer that came in time is in time, also when the process was stopped, the
// host suspended, or a call blocked in between. The poller has to be asked for them: a timer,
// or the signal that ends a stop, made it return before without a look at the sockets.
// While a batch is full Expire waits for the next round, so that answers go out and
// all sockets have their turn, but for no more rounds than a full receive buffer
// takes, or a flood could keep timers from firing for ever.
func (r *runner) overdue(full bool) (again, done bool, err error) {
	if again = full; !r.looked {
		if done, err := r.sleep(0, false, true); done || err != nil {
			return false, true, err
		}
		if again, err = r.fetchReady(); err != nil {
			return false, true, err
		}
		again = again || !r.looked
	}
	r.looked = false
	if again && r.waited < r.backlog {
		r.waited++
		return true, false, nil
	}
	r.waited = 0
	if r.posted {
		r.called()
	}
	r.h.Expire(r.now)
	return again, false, nil
}

// called calls what was posted.
func (r *runner) called() {
	r.posted = false
	r.poll.waker.Flush(r.now)
	// A cancellation since the poller told of the posts has found the event set, and Flush
	// has cleared it: it would never be seen.
	if r.ctx.Err() != nil {
		r.poll.waker.nudge()
	}
}

// sleep asks the poller, and waits for an event when idle, at most d if d >= 0. late tells
// that Expire is due.
func (r *runner) sleep(d time.Duration, idle, late bool) (done bool, err error) {
	var events []unix.EpollEvent
	if idle {
		events, err = r.poll.wait(d)
	} else {
		events, err = r.poll.look()
	}
	if err != nil {
		return true, err
	}
	// With more events than fit, another call tells of the others.
	r.looked = late && len(events) < len(r.poll.events)
	if r.mark(events) {
		return true, context.Cause(r.ctx)
	}
	return false, nil
}

// mark notes what the poller tells; true means that the context is done.
func (r *runner) mark(events []unix.EpollEvent) (done bool) {
	for i := range events {
		ev := &events[i]
		if ev.Fd == waking {
			r.posted = true
			done = r.ctx.Err() != nil
			continue
		}
		s := r.socks[ev.Fd]
		s.failed = ev.Events&unix.EPOLLERR != 0
		if ev.Events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			s.ready = true
		}
		if ev.Events&(unix.EPOLLOUT|unix.EPOLLERR) != 0 && s.writing {
			r.blocked = false
		}
	}
	return done
}
