package trace

import "time"

// maxSlots bounds the slots of a receiver: more than a picture shows.
const maxSlots = 512

// maxSlotted is of how many receivers slots are kept.
const maxSlotted = 256

// firstSlot is how long a slot is at first. It doubles when there are too many.
const firstSlot = time.Millisecond

// A Slot is what went on at one receiver during a part of the transfer, as long as
// [Transaction.Slot].
type Slot struct {
	Sent, Acked int64 // bytes; of extended transactions with each transmission
	Again       int64 // datagrams that repeated a segment
	Flight      int64 // the most segments that were out at once
}

// slot is what is added to one.
type slot struct{ sent, acked, again, flight int64 }

// count adds to the slot of an instant. What has no time has no slot.
func (t *Transaction) count(r *Receiver, at time.Time, x slot) {
	r.Flight = max(r.Flight, x.flight)
	since, ok := between(t.Begin, at)
	if !ok {
		return
	}
	switch {
	case t.Slot == 0:
		t.Slot = firstSlot
	case r.Slots == nil && t.slotted >= maxSlotted:
		return
	}
	if r.Slots == nil {
		t.slotted++
	}
	for since/t.Slot >= maxSlots {
		t.Slot *= 2
		for _, o := range t.Receivers {
			o.halve()
		}
	}
	i := int(since / t.Slot)
	for len(r.Slots) <= i {
		r.Slots = append(r.Slots, Slot{})
	}
	s := &r.Slots[i]
	s.Sent, s.Acked, s.Again, s.Flight = s.Sent+x.sent, s.Acked+x.acked, s.Again+x.again,
		max(s.Flight, x.flight)
}

// halve makes one slot of each two.
func (r *Receiver) halve() {
	half := r.Slots[:(len(r.Slots)+1)/2]
	for i := range half {
		s := r.Slots[2*i]
		if 2*i+1 < len(r.Slots) {
			o := r.Slots[2*i+1]
			s = Slot{s.Sent + o.Sent, s.Acked + o.Acked, s.Again + o.Again, max(s.Flight, o.Flight)}
		}
		half[i] = s
	}
	r.Slots = half
}

// Rate is how many bytes a second a receiver acknowledged, from its first segment to its
// last ack; ok is false where that is not known.
func (r *Receiver) Rate() (bytes float64, ok bool) {
	d, ok := between(r.First, r.Last)
	if !ok || d <= 0 || r.AckedBytes == 0 {
		return 0, false
	}
	return float64(r.AckedBytes) / d.Seconds(), true
}
