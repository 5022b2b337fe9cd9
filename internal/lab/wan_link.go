package lab

import (
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
)

// Directions, as parts of a link's seed.
const (
	seedForward uint64 = iota
	seedBackward
	seedPing
	seedAccessForward
	seedAccessBackward
)

// link is *l, which is made when it is first needed.
func (w *wan) link(l **sim.Link, cfg *sim.LinkConfig, f *flow, place int, direction uint64) *sim.Link {
	if *l == nil {
		*l = sim.NewLink(*cfg, sim.Mix(w.seed, f.number, uint64(place), direction))
	}
	return *l
}

// forward sends a datagram on its way to place i.
func (w *wan) forward(at time.Duration, f *flow, i int, e *loop.Envelope, b []byte) {
	l := w.link(&f.paths[i].forward, &w.places[i].forward, f, i, seedForward)
	w.carry(l.Send(at, len(b)), inbound, f, i, e, b)
}

// line gives the client's line, of which all clients may have the same.
func (w *wan) line(f *flow) *path {
	if w.access.Shared {
		return &w.shared
	}
	return &f.access
}

// carry makes an event of each copy of a datagram.
func (w *wan) carry(fate sim.Fate, kind uint8, f *flow, place int, e *loop.Envelope, b []byte) {
	switch fate.N {
	case 0:
		w.stats.Lost++
	case 2:
		w.stats.Doubled++
	}
	for _, c := range fate.Copies[:fate.N] {
		s, ok := w.slot()
		if !ok {
			w.stats.Refused++
			return
		}
		p := &w.slots[s]
		p.buf = append(p.buf[:0], b...)
		p.env, p.flow, p.place = *e, f, place
		if c.Mask != 0 {
			w.stats.Damaged++
			c.Damage(p.buf)
		}
		w.due.Push(sim.Event{At: int64(c.At), Seq: w.seq, Kind: kind, Slot: s})
		w.seq++
	}
}

// slot takes a parcel from the free ones.
func (w *wan) slot() (int32, bool) {
	if n := len(w.free) - 1; n >= 0 {
		s := w.free[n]
		w.free = w.free[:n]
		return s, true
	}
	if len(w.slots) == maxPending {
		return 0, false
	}
	w.slots = append(w.slots, parcel{})
	return int32(len(w.slots) - 1), true
}
