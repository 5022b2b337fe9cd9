package sim

// An Event is something that happens at an instant. Events of one instant happen
// in the order in which they came to be.
type Event struct {
	At   int64  // ns since the start
	Seq  uint64 // order of creation
	Kind uint8  // a matter of the one who keeps the agenda
	Slot int32  // likewise
}

// The kinds of a World's events. A Slot is a packet, or the index of a call.
const (
	arrival uint8 = iota // a datagram reaches its host
	echo                 // an echo request reaches its host
	answer               // an echo reply reaches the socket that asked
	failure              // an error reaches the socket that sent
	call                 // a scheduled function is due
)

func (e *Event) before(f *Event) bool {
	return e.At < f.At || e.At == f.At && e.Seq < f.Seq
}

// An Agenda is a heap of events, the next one at index 0. It has four children a
// node: it is half as deep as a binary one, and the children of a node share two
// cache lines.
type Agenda []Event

// Push adds an event.
func (a *Agenda) Push(e Event) {
	h := append(*a, e)
	*a = h
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
}

// Pop removes the next event and gives it. It panics when there is none.
func (a *Agenda) Pop() Event {
	h := *a
	top := h[0]
	n := len(h) - 1
	e := h[n]
	h = h[:n]
	*a = h
	for i := 0; n > 0; {
		least := i*4 + 1
		if least >= n {
			h[i] = e
			break
		}
		for c := least + 1; c < min(i*4+5, n); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&e) {
			h[i] = e
			break
		}
		h[i] = h[least]
		i = least
	}
	return top
}

// alarms is a heap of the nodes that want to be woken, ordered by their instants
// and then by when they asked. Unlike events these change all the time, so each
// node knows its place and moves.
type alarms []*Node

func (a alarms) less(i, j int) bool {
	return a[i].wake < a[j].wake || a[i].wake == a[j].wake && a[i].asked < a[j].asked
}

func (a alarms) swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

// fix puts the node at i where it belongs after its instant changed.
func (a alarms) fix(i int) {
	for i > 0 && a.less(i, (i-1)/2) {
		a.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		c := 2*i + 1
		if c >= len(a) {
			return
		}
		if c+1 < len(a) && a.less(c+1, c) {
			c++
		}
		if !a.less(c, i) {
			return
		}
		a.swap(i, c)
		i = c
	}
}

// set arms n, or re-arms it.
func (a *alarms) set(n *Node) {
	if n.place < 0 {
		n.place = len(*a)
		*a = append(*a, n)
	}
	a.fix(n.place)
}

// clear disarms n.
func (a *alarms) clear(n *Node) {
	i := n.place
	if i < 0 {
		return
	}
	last := len(*a) - 1
	a.swap(i, last)
	*a = (*a)[:last]
	n.place = -1
	if i < last {
		a.fix(i)
	}
}
