package loop

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errClosed is what a closed Waker says.
var errClosed = errors.New("loop: the Waker is closed")

// A Waker lets other goroutines call into a loop. What a Handler's program must not
// wait for, such as a flush or the lookup of a name, they do beside it, and
// post what they found. A Run without one pays nothing for it.
type Waker struct {
	ev event

	mu     sync.Mutex
	posted []func(now time.Time)
	spare  []func(now time.Time) // empty; its memory takes turns with posted's
	set    bool                  // ev is, or about to be seen
	closed bool
	jobs   int           // that Besides have taken and not ended
	idle   chan struct{} // closed when jobs is 0 again; nil when nobody waits
}

// NewWaker makes a Waker. It fails as eventfd(2) does: when there are no more
// descriptors (EMFILE, ENFILE) or there is no memory.
func NewWaker() (*Waker, error) {
	ev, err := newEvent()
	if err != nil {
		return nil, err
	}
	return &Waker{ev: ev}, nil
}

// Post has f called by the loop's goroutine, in the order of the Posts and between two
// calls of the Handler: after the datagrams of that round, before Expire. Any goroutine
// may post, and never waits for the loop. While no [Waker.Run] is under way f waits for
// the next one, or for [Waker.Flush]. After Close nothing is called any more.
func (w *Waker) Post(f func(now time.Time)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.posted = append(w.posted, f)
	w.wake()
}

// wake makes the loop look at what was posted, with mu held: the descriptor is then
// still this Waker's.
func (w *Waker) wake() {
	if !w.set && !w.closed {
		w.set = true
		w.ev.set()
	}
}

// nudge wakes the loop with nothing to call.
func (w *Waker) nudge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake()
}

// Run is [Run], and calls what is posted. A Waker is in one Run at a time.
func (w *Waker) Run(ctx context.Context, h Handler, socks ...*Socket) error {
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return errClosed
	}
	return drive(ctx, w, h, socks)
}

// Flush calls what is posted by now, with now. It is for the time before and after a
// Run, never for during one.
func (w *Waker) Flush(now time.Time) {
	w.mu.Lock()
	fs := w.posted
	w.posted, w.spare = w.spare, nil
	if w.set && !w.closed {
		w.set = false
		w.ev.clear()
	}
	w.mu.Unlock()
	// What they post has its turn in the next round, or a chain of them would keep
	// datagrams and timers waiting.
	for i, f := range fs {
		fs[i] = nil
		f(now)
	}
	w.mu.Lock()
	w.spare = fs[:0]
	w.mu.Unlock()
}

// Beside gives a [Beside] that runs at most n jobs at once (at least one), each on a
// goroutine. The rest wait for their turn, in order.
func (w *Waker) Beside(n int) Beside {
	g := &gang{w: w, room: max(n, 1)}
	return g.take
}

// Wait waits until all jobs of all of the Waker's Besides have ended, or until ctx is
// done, which gives [context.Cause]. What they gave is posted then, and [Waker.Flush]
// calls it.
func (w *Waker) Wait(ctx context.Context) error {
	w.mu.Lock()
	if w.jobs == 0 {
		w.mu.Unlock()
		return nil
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close gives the descriptor back. No Run may be under way. Jobs that still are end
// as they would have, and nobody hears of it. Closing again does nothing.
func (w *Waker) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed, w.posted = true, nil
	return w.ev.close()
}

// A gang is the jobs of one Beside.
type gang struct {
	w       *Waker
	room    int // how many more may run; with w.mu held, as is waiting
	backlog []func() func(now time.Time)
}

func (g *gang) take(job func() (back func(now time.Time))) {
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	g.w.jobs++
	if g.room == 0 {
		g.backlog = append(g.backlog, job)
		return
	}
	g.room--
	go g.work(job)
}

// work does one job after the other until none waits.
func (g *gang) work(job func() (back func(now time.Time))) {
	for job != nil {
		if back := job(); back != nil {
			g.w.Post(back)
		}
		job = g.next()
	}
}

// next ends a job and gives the next one, nil if there is none.
func (g *gang) next() (job func() func(now time.Time)) {
	w := g.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs--; w.jobs == 0 && w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
	if len(g.backlog) == 0 {
		g.room++
		return nil
	}
	job, g.backlog = g.backlog[0], g.backlog[1:]
	return job
}
