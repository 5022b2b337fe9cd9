package sched

import (
	"math/bits"
	"time"
)

// Tick is the resolution of a [Wheel] in nanoseconds, about 1.05 ms. It is a
// power of two so that an instant becomes a tick by a shift, and it is far finer
// than any sane retransmission timeout.
const Tick = 1 << tickBits

const (
	tickBits  = 20
	levels    = 4
	levelBits = 8
	slots     = 1 << levelBits
	slotMask  = slots - 1
	heads     = levels * slots            // nodes 0..heads-1 are the slots' list heads
	span      = 1 << (levels * levelBits) // ticks ahead that the top level can tell apart
	maxTick   = 1<<(63-tickBits) - 1      // the last tick a time.Duration reaches, 292 years
	idle      = -1                        // node.next of a timer that is not armed
)

// A Wheel is a set of timers, one per id from 0 to n-1, that arm, stop and expire
// in constant time and never allocate. It is the hierarchical timing wheel of
// Varghese and Lauck ("Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme
// 7): four levels of 256 slots, where a slot of one level covers a whole turn of
// the level below. A timer far away waits in a coarse slot and moves down
// ("cascades") when the clock comes to that slot, at most three times in all.
//
// Time passes only by [Wheel.Pop]. The instants given to it must not go
// backwards; an earlier one counts as the latest so far. A Wheel is not safe for
// concurrent use.
type Wheel struct {
	epoch time.Time
	past  int64 // the latest instant given to Pop, ns from epoch
	now   int64 // the tick that Pop has come to, at most past's; all before it are done
	live  int

	// used has one bit per slot, set while the slot's list is not empty. It lets
	// Next and Pop jump over empty slots, hours at a time.
	used [levels][slots / 64]uint64

	// nodes are the list heads of the slots and then the timers. They are linked
	// by index, not by pointer, so that a million timers are one object that the
	// garbage collector does not look into.
	nodes []node
}

// A node is a member of one circular doubly linked list.
type node struct {
	next, prev int32
	when       int64 // tick, meaningless in a head
}

// NewWheel returns a wheel with the timers 0 to timers-1, none armed, whose clock
// stands at epoch. It takes all the memory the wheel will ever use: 16 bytes per
// timer and 16 KiB.
func NewWheel(epoch time.Time, timers int) *Wheel {
	w := &Wheel{epoch: epoch, nodes: make([]node, heads+timers)}
	for i := range w.nodes {
		if i < heads {
			w.nodes[i] = node{next: int32(i), prev: int32(i)}
		} else {
			w.nodes[i].next = idle
		}
	}
	return w
}

// Arm sets timer id to expire at the given instant, whether or not it was armed
// before. The instant is rounded up to a tick, so that a timer never expires
// early. One that is not after the latest instant given to Pop, or to NewWheel,
// is due at the next Pop. One more than 292 years after the epoch, where a
// time.Duration ends, counts as that.
func (w *Wheel) Arm(id int, at time.Time) { w.arm(id, at.Sub(w.epoch)) }

// arm is Arm for an instant given as the time since the epoch, which costs half.
func (w *Wheel) arm(id int, since time.Duration) {
	i := w.node(id)
	if w.nodes[i].next == idle {
		w.live++
	} else {
		w.unlink(i)
	}
	tick := w.now
	if d := int64(since); d > w.past {
		tick = min(-(-d >> tickBits), maxTick)
	}
	w.link(i, tick)
}

// Stop disarms timer id. A timer that is not armed stays so.
func (w *Wheel) Stop(id int) {
	if i := w.node(id); w.nodes[i].next != idle {
		w.unlink(i)
		w.nodes[i].next = idle
		w.live--
	}
}

// Armed reports whether timer id is armed: it was armed, and has been neither
// stopped nor popped since.
func (w *Wheel) Armed(id int) bool { return w.nodes[w.node(id)].next != idle }

// Len returns how many timers are armed.
func (w *Wheel) Len() int { return w.live }

// Pop disarms and returns the next timer that is due at or before now, in the
// order of their ticks; ok is false when none is. Timers of the same tick come in
// an order that is not specified but depends on nothing except the calls made.
// The timer may be armed again at once, even between two Pops of the same
// instant.
func (w *Wheel) Pop(now time.Time) (id int, ok bool) {
	w.past = max(w.past, int64(now.Sub(w.epoch)))
	end := w.past >> tickBits
	for {
		head := int32(w.now & slotMask)
		if i := w.nodes[head].next; i != head {
			w.unlink(i)
			w.nodes[i].next = idle
			w.live--
			return int(i) - heads, true
		}
		tick, ok := w.event()
		if !ok || tick > end {
			// Nothing happens up to end, so the clock may stand there: what is
			// armed from now on is then sorted as finely as can be.
			w.now = end
			return 0, false
		}
		w.now = tick
		w.cascade()
	}
}

// Next returns the instant at which to call Pop again; ok is false when no timer
// is armed. It may be earlier than the first timer, when a slot of a higher level
// must cascade first, and is never later. It is not after now when a timer is due
// already.
func (w *Wheel) Next() (at time.Time, ok bool) {
	tick := w.now
	if head := int32(tick & slotMask); w.nodes[head].next == head {
		if tick, ok = w.event(); !ok {
			return time.Time{}, false
		}
	}
	return w.epoch.Add(time.Duration(tick << tickBits)), true
}

// node returns the index of timer id. It panics on an id that the wheel does not
// have: a negative one would otherwise name a list head.
func (w *Wheel) node(id int) int32 {
	if uint(id) >= uint(len(w.nodes)-heads) {
		panic("sched: no such timer")
	}
	return int32(id + heads)
}

// link puts node i into the slot for tick when, which must not be before w.now.
func (w *Wheel) link(i int32, when int64) {
	// A tick beyond the top level's span waits in the top level's last slot and
	// is looked at again there; its own tick stays in the node.
	place := min(when, w.now+span-1)
	// The level is how many whole bytes the distance has above its lowest.
	level := uint(bits.Len64(uint64(place-w.now)|slotMask)-1) / levelBits
	slot := uint(place>>(level*levelBits)) & slotMask
	w.used[level][slot>>6] |= 1 << (slot & 63)

	head := int32(level<<levelBits | slot)
	tail := w.nodes[head].prev
	w.nodes[i] = node{next: head, prev: tail, when: when}
	w.nodes[tail].next = i
	w.nodes[head].prev = i
}

// unlink takes node i out of its list and leaves its own links as they were.
func (w *Wheel) unlink(i int32) {
	next, prev := w.nodes[i].next, w.nodes[i].prev
	w.nodes[prev].next = next
	w.nodes[next].prev = prev
	if next == prev { // both are the head: i was alone
		w.used[next>>levelBits][next>>6&3] &^= 1 << (next & 63)
	}
}

// event returns the first tick after w.now at which a slot begins that is not
// empty, of whatever level.
func (w *Wheel) event() (tick int64, ok bool) {
	if w.live == 0 {
		return 0, false
	}
	for level := uint(0); level < levels; level++ {
		turn := w.now >> (level * levelBits)
		cur := uint(turn) & slotMask
		d := distance(&w.used[level], cur)
		if d == 0 {
			continue
		}
		if t := (turn + int64(d)) << (level * levelBits); !ok || t < tick {
			tick, ok = t, true
		}
		// Until this level has turned round, every slot of the levels above it
		// is at or after the end of the turn: no need to look.
		if cur+d <= slots {
			break
		}
	}
	return tick, ok
}

// distance returns how many slots after cur, 1 to 256 and wrapping round, the next
// bit of used is set; 0 when none is. The slot cur itself counts as the last: it
// has begun, so whatever is in it is for the next turn.
func distance(used *[slots / 64]uint64, cur uint) uint {
	word := cur >> 6
	if m := used[word&3] >> (cur & 63) >> 1; m != 0 {
		return uint(bits.TrailingZeros64(m)) + 1
	}
	// The fourth word is the first again, of which only bits up to cur are left.
	for k := uint(1); k <= 4; k++ {
		if m := used[(word+k)&3]; m != 0 {
			slot := (word+k)&3<<6 + uint(bits.TrailingZeros64(m))
			return (slot-cur-1)&slotMask + 1
		}
	}
	return 0
}

// cascade moves the timers of the higher levels' slots that begin at w.now down to
// where their own ticks belong.
func (w *Wheel) cascade() {
	for level := uint(levels - 1); level > 0; level-- {
		if w.now&(1<<(level*levelBits)-1) != 0 {
			continue
		}
		slot := uint(w.now>>(level*levelBits)) & slotMask
		head := int32(level<<levelBits | slot)
		i := w.nodes[head].next
		// The list is taken off whole first: a timer beyond the top level's span
		// may go straight back into the same slot, for the next turn.
		w.nodes[head].next, w.nodes[head].prev = head, head
		w.used[level][slot>>6] &^= 1 << (slot & 63)
		for i != head {
			next := w.nodes[i].next
			w.link(i, w.nodes[i].when)
			i = next
		}
	}
}
