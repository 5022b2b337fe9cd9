package progress

import (
	"sync"

	"mdalp"
)

// A painter hands reports to a screen from a goroutine of its own, as a terminal may take
// nothing for as long as its user likes. It keeps a copy of the newest one alone.
type Painter struct {
	wake chan struct{} // closed at the end
	done chan struct{}

	mu   sync.Mutex
	next mdalp.Report // if fresh
	// Whether next was not painted yet.
	fresh bool
}

// NewPainter starts it.
func NewPainter(s *Screen) *Painter {
	p := &Painter{wake: make(chan struct{}, 1), done: make(chan struct{})}
	go p.run(s)
	return p
}

// See takes a report, and does not wait.
func (p *Painter) See(r *mdalp.Report) {
	p.mu.Lock()
	all := append(p.next.Receivers[:0], r.Receivers...)
	p.next = *r
	p.next.Receivers, p.fresh = all, true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine. At its end the bars are gone.
func (p *Painter) run(s *Screen) {
	defer close(p.done)
	var r mdalp.Report
	for range p.wake {
		p.mu.Lock()
		fresh := p.fresh
		if fresh {
			// The other's room for receivers is used again.
			r, p.next, p.fresh = p.next, r, false
		}
		p.mu.Unlock()
		if fresh {
			s.See(&r)
		}
	}
	s.clear()
}

// End takes the bars away. They are gone when what it gives is closed.
func (p *Painter) End() <-chan struct{} {
	close(p.wake)
	return p.done
}
