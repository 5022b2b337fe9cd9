package server

import (
	"time"

	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

const (
	// mostHeld is how many acknowledgements may be held, mostHeldBytes how many bytes of
	// segments with them.
	mostHeld      = 4096
	mostHeldBytes = 16 << 20
	// A ledger that does not answer is asked again after askFirst, and after twice as long
	// each time; after askTries times the segment is as good as lost, and its client sends
	// it again.
	askFirst = 100 * time.Millisecond
	askTries = 6
	// mostFlows is how many transactions receivers know that are apart from their ledger.
	// One is forgotten after flowKept without a segment: longer than any client waits.
	mostFlows = 4096
	flowKept  = 3 * time.Minute
)

// holding is what receivers have that are apart from their ledger: acknowledgements that are
// held until it has answered, and what is known of transactions.
type holding struct {
	slots []heldAck
	free  []int
	byKey map[Key]int
	ask   fifo[int] // slots whose ask is to be sent
	bytes int
	wheel *sched.Wheel // by slot; nil until Expire tells what time it is

	flows map[int64]*kept
	order fifo[*kept] // looked through from the front, for those to forget
}

// A heldAck is an acknowledgement that is held.
type heldAck struct {
	key   Key
	data  []byte // nil when the slot is free
	path  intent // where the segment came from and to
	since time.Time
	tries int
	queue bool // it stands in holding.ask
}

// A kept is a flow that is not part of a transaction.
type kept struct {
	flow
	used time.Time
}

// NewReceivers makes Receivers by a ledger elsewhere, whose Config has the same list of them.
// Whoever drives them carries each [Ask] that Receivers.Ask gives to Orchestrator.Asked, and
// each [Reply] of Orchestrator.Reply to Receivers.Answer. It fails as [New] does.
func NewReceivers(addrs []Receiver) (*Receivers, error) {
	s := new(Receivers)
	if err := s.init(addrs, nil, new(Stats)); err != nil {
		return nil, err
	}
	s.ledger = s
	s.held = &holding{byKey: make(map[Key]int), flows: make(map[int64]*kept)}
	return s, nil
}

// Stats returns the counters, of which an orchestrator elsewhere has others.
func (s *Receivers) Stats() Stats { return *s.stats }

// put implements taker: it holds the acknowledgement, and has the ledger asked. A segment
// that comes again meanwhile is answered where it came from last.
func (s *Receivers) put(now time.Time, e *loop.Envelope, i int, m *wire.Message) (*flow, answer) {
	h := s.held
	k := Key{TID: m.TID, Seq: m.Seq, Num: m.Num, Receiver: i, Sum: Sum(m.Data)}
	if at, ok := h.byKey[k]; ok {
		s.stats.Held++
		h.slots[at].path.from(e)
		return nil, asking
	}
	at, ok := h.slot()
	if !ok || h.bytes+len(m.Data) > mostHeldBytes {
		s.stats.NotHeld++
		return nil, refused
	}
	s.stats.Held++
	if at == len(h.slots) {
		h.slots = append(h.slots, heldAck{})
	} else {
		h.free = h.free[:len(h.free)-1]
	}
	x := &h.slots[at]
	*x = heldAck{key: k, data: append(make([]byte, 0, len(m.Data)), m.Data...), since: now}
	x.path.from(e)
	h.byKey[k] = at
	h.bytes += len(m.Data)
	h.again(now, at)
	return nil, asking
}

// slot finds a free slot, which is taken once it has a key.
func (h *holding) slot() (at int, ok bool) {
	if n := len(h.free); n > 0 {
		return h.free[n-1], true
	}
	return len(h.slots), len(h.slots) < mostHeld
}

// burst implements taker. What the ledger says to be taken is safe when it says so.
func (s *Receivers) burst(time.Time) {}

// again has the ledger asked, and sets the time for the next try.
func (h *holding) again(now time.Time, at int) {
	x := &h.slots[at]
	if !x.queue {
		x.queue = true
		h.ask.push(at)
	}
	h.wheel.Arm(at, now.Add(askFirst<<x.tries))
	x.tries++
}

// drop lets go of an acknowledgement.
func (h *holding) drop(at int) {
	x := &h.slots[at]
	delete(h.byKey, x.key)
	h.bytes -= len(x.data)
	h.wheel.Stop(at)
	x.data = nil
	if !x.queue { // else who takes it from there frees it
		h.free = append(h.free, at)
	}
}

// Ask gives the next segment that the ledger is to be asked for; ok is false when there is
// none. Data is valid until the next call of s.
func (s *Receivers) Ask() (a Ask, ok bool) {
	h := s.held
	for h.ask.len() > 0 {
		at := h.ask.pop()
		x := &h.slots[at]
		x.queue = false
		if x.data == nil {
			h.free = append(h.free, at)
			continue
		}
		return Ask{x.key, x.since, x.path.peer, x.data}, true
	}
	return a, false
}

// Answer takes the ledger's reply: what it names is acknowledged, if that is held. Of what
// was answered before, or given up, nothing is left to be done.
func (s *Receivers) Answer(now time.Time, r *Reply) {
	s.now = now
	h := s.held
	at, ok := h.byKey[r.Key]
	if !ok {
		s.stats.LateReplies++
		return
	}
	x := &h.slots[at]
	var e loop.Envelope
	x.path.to(&e)
	h.drop(at)
	var f *flow
	if r.Taken {
		f = s.flow(now, &r.Key, r.At.Add(r.For))
	}
	switch {
	case f == nil:
		s.stats.AcksDropped++
	case r.Num != wire.Absent:
		s.owe(f, r.Receiver, r.Num, &e)
	case !s.acks.put(f, r.Seq, &e, true):
		s.stats.AcksDropped++
	}
}

// flow finds or makes what is known of a transaction; nil when that is too much. Its limit
// only ever moves ahead: an old answer changes nothing.
func (s *Receivers) flow(now time.Time, key *Key, limit time.Time) *flow {
	h := s.held
	k := h.flows[key.TID]
	if k == nil {
		h.forget(now)
		if len(h.flows) >= mostFlows {
			return nil
		}
		k = &kept{flow: flow{tid: key.TID}}
		h.flows[key.TID] = k
		h.order.push(k)
	}
	if key.Num != wire.Absent && k.arrived == nil {
		k.arrived = make([]arrivals, len(s.addrs))
	}
	k.used = now
	if k.limit.Before(limit) {
		k.limit = limit
	}
	return &k.flow
}

// forget looks at the two that were looked at longest ago, so that there are never more
// than twice as many as are used.
func (h *holding) forget(now time.Time) {
	for range min(2, h.order.len()) {
		k := h.order.pop()
		if now.Sub(k.used) < flowKept {
			h.order.push(k)
			continue
		}
		delete(h.flows, k.tid)
	}
}

// Receive implements [loop.Handler].
func (s *Receivers) Receive(now time.Time, e *loop.Envelope, b []byte) {
	s.begin(now)
	s.stats.Datagrams++
	var err error
	if !wire.ParseSegment(b, &s.m) {
		s.m, err = wire.Parse(b)
	}
	switch {
	case err != nil, !answerable(e):
		s.stats.Malformed++
	case s.m.Type == wire.Data:
		s.data(now, e, &s.m)
	default:
		s.stats.Unexpected++
	}
}

// begin tells what time it is.
func (s *Receivers) begin(now time.Time) {
	s.now = now
	if s.held != nil && s.held.wheel == nil {
		s.held.wheel = sched.NewWheel(now, mostHeld)
	}
}

// Fail implements [loop.Handler]. An error changes nothing, see Ledger.Fail.
func (s *Receivers) Fail(now time.Time, e *loop.Envelope, err error) {
	s.now = now
	s.stats.SendErrors++
}

// Expire implements [loop.Handler].
func (s *Receivers) Expire(now time.Time) {
	s.begin(now)
	h := s.held
	for h != nil {
		at, ok := h.wheel.Pop(now)
		if !ok {
			return
		}
		if h.slots[at].tries >= askTries {
			s.stats.AcksDropped++
			h.drop(at)
			continue
		}
		h.again(now, at)
	}
}

// Transmit implements [loop.Handler].
func (s *Receivers) Transmit(now time.Time, e *loop.Envelope, b []byte) (out []byte, ok bool) {
	s.now = now
	if out, ok = s.transmitBlockAck(now, e, b); ok {
		return out, true
	}
	return s.transmitAck(now, e, b)
}

// Next implements [loop.Handler]. Receivers never end.
func (s *Receivers) Next() (at time.Time, ok bool) {
	at = s.now.Add(far)
	if s.held == nil {
		return at, true
	}
	if s.held.wheel == nil {
		return s.now, true // at once: Expire tells what time it is
	}
	if due, ok := s.held.wheel.Next(); ok {
		at = earlier(at, due)
	}
	return at, true
}
