package trace

import (
	"net/netip"
	"slices"
	"time"

	"mdalp/internal/pcapng"
	"mdalp/wire"
)

// The bounds of what is kept of an extended transaction.
const (
	maxStates = 64      // changes of the orchestrator's word
	maxTried  = 1 << 14 // segments sent more than once whose transmissions are counted, by receiver
	maxText   = 1024    // bytes of a stranger's text
)

// reorder is by how many acknowledged transmissions behind it one is taken for lost, and
// no longer in flight: RFC 9002's packet threshold (section 6.1.1).
const reorder = 3

// A Report is what the orchestrator said of a transaction, where it was another word than
// before.
type Report struct {
	At       time.Time
	Standing wire.Standing
	Comment  string
	Held     int64 // segments that it says are stored
}

// An out is a transmission that has not been acknowledged.
type out struct {
	num, seq int64
	sent     time.Time
	bytes    int64
	try      int  // of the segment, to this receiver
	first    bool // of the segment, to anybody
}

// known gives a transaction of a client that may speak from several ports: a manifest may
// come from any of its host, and a translator of addresses may give each receiver another.
func (a *Analyzer) known(client netip.AddrPort, tid int64) *Transaction {
	if t := a.byKey[key{client, tid}]; t != nil {
		return t
	}
	k := key{netip.AddrPortFrom(client.Addr(), 0), tid}
	if t := a.byHost[k]; t != nil {
		return t
	}
	return a.transaction(client, tid)
}

// manifest takes what a client says of its payload.
func (a *Analyzer) manifest(d *pcapng.Datagram, m *wire.Message) {
	x, _, err := wire.ParseManifest(m.Data)
	if err != nil || m.TID == wire.Absent || m.Seq == wire.Absent {
		a.spoilt(d)
		return
	}
	a.trace.Messages++
	t := a.known(d.Src, m.TID)
	if t.Manifests++; t.Manifests == 1 {
		t.Announced, t.Size, t.Unit, t.Resume = d.At, x.Bytes, x.Seg, x.Resume
		if !t.Orchestrator.IsValid() {
			t.Orchestrator = d.Dst
		}
	}
	if x.Name != "" && t.Name == "" {
		t.Name = x.Name
	}
	if x.SHA256 != "" {
		t.Asked++
	}
}

// state takes the orchestrator's answer.
func (a *Analyzer) state(d *pcapng.Datagram, m *wire.Message) {
	x, err := wire.ParseState(m.Data)
	if err != nil || m.TID == wire.Absent || m.Seq == wire.Absent {
		a.spoilt(d)
		return
	}
	a.trace.Messages++
	t := a.known(d.Dst, m.TID)
	if !t.Orchestrator.IsValid() {
		t.Orchestrator = d.Src
	}
	t.States++
	t.Standing = x.Standing
	held := int64(0)
	for _, r := range x.Have {
		held += r.Last - r.First + 1
		t.held.include(r)
	}
	if n := len(t.Reports); n < maxStates &&
		(n == 0 || t.Reports[n-1].Standing != x.Standing || t.Reports[n-1].Comment != x.Comment) {
		t.Reports = append(t.Reports,
			Report{d.At, x.Standing, x.Comment[:min(len(x.Comment), maxText)], held})
	}
}

// spoilt counts a message whose DATA cannot be read.
func (a *Analyzer) spoilt(d *pcapng.Datagram) {
	if d.Cut {
		a.trace.Cut++
	} else {
		a.trace.Malformed++
	}
}

// segment takes a segment with NUM. What data has counted already is not counted here.
func (t *Transaction) segment(r *Receiver, d *pcapng.Datagram, m *wire.Message) {
	size := int64(len(m.Data) + d.Missing)
	t.Extended = true
	// A number is never used twice, so the network has doubled this datagram.
	if !r.nums.add(m.Num) {
		r.Doubled++
		return
	}
	x := out{num: m.Num, seq: m.Seq, sent: d.At, bytes: size, try: 1}
	if fresh := r.sent.add(m.Seq); fresh {
		r.Segments++
		r.Bytes += size
		if x.first = t.sent.add(m.Seq); x.first {
			t.Segments++
			t.Bytes += size
		} else if t.moved.add(m.Seq) {
			t.Moved++
		}
	} else if n, ok := r.tried[m.Seq]; ok || len(r.tried) < maxTried {
		x.try = n + 2
		r.tried[m.Seq] = n + 1
	}
	r.top = max(r.top, m.Num)
	// Its ack may be in the capture a moment before it.
	if e := &r.told; e.Last >= m.Num && e.First <= m.Num && moment(r.Last, d.At, maxEarly) {
		if r.Unsent > 0 && m.Num == e.Last {
			r.Unsent--
		}
		t.taken(r, &x, time.Time{})
	} else {
		r.fly(&x, t)
	}
	t.count(r, d.At, slot{sent: size, again: btoi(!x.first), flight: r.inFlight()})
}

// btoi is 1 for true.
func btoi(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// fly keeps a transmission that is out, in the order of the numbers.
func (r *Receiver) fly(x *out, t *Transaction) {
	if len(r.flight) >= maxOpen {
		// Half at once, so that this costs little for each.
		for i := range r.flight[:maxOpen/2] {
			t.leave(r, &r.flight[i])
		}
		r.flight = slices.Delete(r.flight, 0, maxOpen/2)
	}
	i := len(r.flight)
	for i > 0 && r.flight[i-1].num > x.num {
		i--
	}
	r.flight = slices.Insert(r.flight, i, *x)
}

// leave judges a transmission that was never acknowledged: the first of a segment was lost
// if the segment arrived all the same.
func (t *Transaction) leave(r *Receiver, x *out) {
	if x.first && t.acked.has(x.seq) {
		r.Lost++
	}
}

// inFlight is how many transmissions are out and not taken for lost.
func (r *Receiver) inFlight() int64 {
	i := len(r.flight)
	for i > 0 && r.flight[i-1].num > r.largest-reorder {
		i--
	}
	return int64(len(r.flight) - i)
}

// receipt takes an acknowledgement with NUM: ranges of the numbers that arrived, the
// newest first.
func (t *Transaction) receipt(r *Receiver, d *pcapng.Datagram, m *wire.Message, ranges []wire.Range) {
	t.Extended = true
	r.Acks++
	if m.Num > r.top || len(r.nums.r) == 0 {
		r.Unsent++
	}
	r.told = ranges[0]
	news := false
	bytes := int64(0)
	for _, x := range ranges {
		from, _ := slices.BinarySearchFunc(r.flight, x.First, byNum)
		to := from
		for to < len(r.flight) && r.flight[to].num <= x.Last {
			bytes += r.flight[to].bytes
			t.taken(r, &r.flight[to], d.At)
			to++
		}
		if to > from {
			r.flight = slices.Delete(r.flight, from, to)
			news = true
		}
	}
	r.largest = max(r.largest, min(m.Num, r.top))
	r.Last = later(r.Last, d.At)
	if !news && m.Num <= r.top {
		r.Duplicate++
	}
	if news {
		t.End = later(t.End, d.At)
	}
	t.count(r, d.At, slot{acked: bytes, flight: r.inFlight()})
}

// byNum is the order of transmissions.
func byNum(x out, num int64) int {
	if x.num < num {
		return -1
	}
	return 1
}

// taken notes that a transmission arrived; at is that of the ack, and zero where that is no
// measurement.
func (t *Transaction) taken(r *Receiver, x *out, at time.Time) {
	if r.acked.add(x.seq) {
		r.Acked++
		r.AckedBytes += x.bytes
	}
	if t.acked.add(x.seq) {
		t.Acked++
	}
	if took, ok := between(x.sent, at); ok {
		r.delay(Delay{Seq: x.seq, Sent: x.sent, Took: took, Try: x.try})
	} else {
		r.untimed(x.seq)
	}
}

// Expected is how many segments the announced payload has, or 0 if it is not known.
func (t *Transaction) Expected() int64 {
	if t.Size < 1 || t.Unit < 1 {
		return 0
	}
	return (t.Size-1)/t.Unit + 1
}
