package trace

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"mdalp/internal/pcapng"
	"mdalp/wire"
)

// port is where receivers listen whose offer names none. It is mdalp.Port, which this
// package must not import.
const port = 4650

// maxReceivers bounds the receivers of one transaction: what an offer can hold, and as
// many that no offer names.
const maxReceivers = 8192

// An Analyzer takes the datagrams of a capture in their order. Its zero value is ready.
type Analyzer struct {
	trace Trace
	// In the order of their first datagram, also those whose TID was used anew.
	open []*Transaction
	// A TID is the orchestrator's number and not unique among several, so the client's address
	// and port belong to the key.
	byKey map[key]*Transaction
	// Intents that no offer has answered yet.
	intents map[pair]*Intent
	asked   []pair // the keys of intents, as they came
	echoes  echoes
	copies  copies
}

type (
	key struct {
		client netip.AddrPort
		tid    int64
	}
	pair struct{ client, orchestrator netip.AddrPort }
)

// Read analyzes a whole capture. The Trace is never nil, and tells of what came before
// an error; see [pcapng.NewReader] and [pcapng.Reader.Next] for those.
func Read(r io.Reader) (*Trace, error) {
	var a Analyzer
	p, err := pcapng.NewReader(r)
	if err != nil {
		return a.Finish(), err
	}
	var d pcapng.Datagram
	for err == nil {
		if err = p.Next(&d); err == nil {
			a.Add(&d)
		}
	}
	t := a.Finish()
	t.Stats = p.Stats()
	if err == io.EOF {
		err = nil
	}
	return t, err
}

// Add takes the next datagram. Nothing of it is kept. It reports whether the datagram is
// news, and not the second copy of the one before, which counts for nothing.
func (a *Analyzer) Add(d *pcapng.Datagram) (fresh bool) {
	if a.byKey == nil {
		a.byKey = make(map[key]*Transaction)
		a.intents = make(map[pair]*Intent)
	}
	if a.copies.seen(d) {
		a.trace.Copies++
		return false
	}
	a.add(d)
	return true
}

// add takes a datagram that is no copy.
func (a *Analyzer) add(d *pcapng.Datagram) {
	if d.Proto != pcapng.UDP {
		if a.echoes.add(d) {
			a.trace.Echoes++
		}
		return
	}
	m, err := wire.Parse(d.Data)
	if err != nil {
		// Any other UDP traffic in the capture is none of ours, and nothing to complain of.
		if len(d.Data) >= 5 && string(d.Data[:5]) == "Type:" {
			a.trace.Malformed++
		}
		return
	}
	a.trace.Messages++
	switch m.Type {
	case wire.Intent:
		a.intent(d)
	case wire.Offer:
		a.offer(d, &m)
	case wire.Data:
		if m.TID != wire.Absent && m.Seq != wire.Absent {
			a.transaction(d.Src, m.TID).data(d, &m)
		}
	case wire.Ack:
		if m.TID != wire.Absent && m.Seq != wire.Absent {
			a.transaction(d.Dst, m.TID).ack(d, &m)
		}
	// PROTOCOL.md keeps both types for later. Nobody has to send them now, so wire has no
	// names for them, and they count only in a transaction that is known: alone they tell
	// nothing.
	case 4: // finish
		if t := a.byKey[key{d.Src, m.TID}]; t != nil {
			t.Finishes++
		}
	// Both bounds keep a flood of them from taking memory.
	case 5: // verdict
		if t := a.byKey[key{d.Dst, m.TID}]; t != nil && len(t.Verdicts) < 16 {
			t.Verdicts = append(t.Verdicts, string(m.Data[:min(len(m.Data), 1024)]))
		}
	}
}

// transaction gives the transaction of a client, and makes it if need be.
func (a *Analyzer) transaction(client netip.AddrPort, tid int64) *Transaction {
	k := key{client, tid}
	t := a.byKey[k]
	if t == nil {
		t = &Transaction{TID: tid, Client: client, segments: make(map[int64]*segment), byAddr: make(map[netip.AddrPort]*Receiver)}
		a.byKey[k] = t
		a.open = append(a.open, t)
	}
	return t
}

func (a *Analyzer) intent(d *pcapng.Datagram) {
	k := pair{d.Src, d.Dst}
	i := a.intents[k]
	if i == nil {
		i = &Intent{At: d.At, Client: d.Src, Orchestrator: d.Dst}
		a.intents[k] = i
		a.asked = append(a.asked, k)
	}
	i.Times++
}

// offer begins a transaction. One that is repeated changes nothing but a count.
func (a *Analyzer) offer(d *pcapng.Datagram, m *wire.Message) {
	if m.TID == wire.Absent {
		return
	}
	k := pair{d.Dst, d.Src}
	if t := a.byKey[key{d.Dst, m.TID}]; t != nil && t.Datagrams > 0 && a.intents[k] != nil {
		delete(a.byKey, key{d.Dst, m.TID}) // the TID is used anew
	}
	t := a.transaction(d.Dst, m.TID)
	if t.Offers++; t.Offers > 1 {
		return
	}
	t.Offer, t.Orchestrator = d.At, d.Src
	if i := a.intents[k]; i != nil {
		t.Intent, t.Intents = i.At, i.Times
		delete(a.intents, k)
	}
	var offered []wire.Receiver
	if offered, t.BadOffer = wire.ParseReceivers(m.Data); t.BadOffer == nil && m.Data == nil {
		t.BadOffer = errors.New("it has no DATA")
	}
	seen := t.Receivers
	t.Receivers = nil
	for _, o := range offered {
		host, err := netip.ParseAddr(o.Host)
		if err != nil {
			continue // a name: the receiver shows itself by what is sent to it
		}
		addr := netip.AddrPortFrom(host.Unmap().WithZone(""), o.Port)
		if o.Port == 0 {
			addr = netip.AddrPortFrom(addr.Addr(), port)
		}
		r := t.byAddr[addr]
		if r == nil || !r.Offered {
			r = t.receiver(addr)
			r.Name, r.Offered = o.Name, true
			t.Receivers = append(t.Receivers, r)
		}
	}
	for _, r := range seen { // before the offer: packets may be out of order
		if !r.Offered {
			t.Receivers = append(t.Receivers, r)
		}
	}
}

// receiver gives the receiver at an address, and makes it if need be, but does not put
// it into the order.
func (t *Transaction) receiver(addr netip.AddrPort) *Receiver {
	r := t.byAddr[addr]
	if r == nil {
		r = &Receiver{Addr: addr, shots: make(map[int64]*shot), open: make(map[int64]struct{})}
		t.byAddr[addr] = r
	}
	return r
}

// met is receiver for one that was met on the way.
func (t *Transaction) met(addr netip.AddrPort) *Receiver {
	if t.byAddr[addr] == nil && len(t.byAddr) < maxReceivers {
		t.Receivers = append(t.Receivers, t.receiver(addr))
	}
	return t.byAddr[addr]
}

// data takes a segment.
func (t *Transaction) data(d *pcapng.Datagram, m *wire.Message) {
	r := t.met(d.Dst)
	if r == nil {
		return
	}
	if t.Begin.IsZero() {
		t.Begin = d.At
	}
	t.End = d.At
	t.Datagrams++
	r.Datagrams++
	if r.First.IsZero() {
		r.First = d.At
	}
	if s := r.shots[m.Seq]; s != nil {
		s.again = append(s.again, d.At)
		return
	}
	r.shots[m.Seq] = &shot{sent: d.At}
	r.order = append(r.order, m.Seq)
	r.open[m.Seq] = struct{}{}
	r.Segments++
	r.Bytes += int64(len(m.Data))
	s := t.segments[m.Seq]
	if s == nil {
		s = &segment{bytes: int64(len(m.Data))}
		t.segments[m.Seq] = s
		t.Segments++
		t.Bytes += s.bytes
	}
	if s.at++; s.at == 2 {
		t.Moved++
	}
}

// ack takes an acknowledgement, and the ranges that a newer receiver tells with it.
func (t *Transaction) ack(d *pcapng.Datagram, m *wire.Message) {
	r := t.met(d.Src)
	if r == nil {
		return
	}
	switch s := r.shots[m.Seq]; {
	case s == nil:
		r.Unsent++
	case s.acked.IsZero():
		t.take(r, m.Seq, s, d.At)
	default:
		r.Duplicate++
	}
	ranges, err := wire.ParseRanges(m.Data)
	if err != nil {
		return
	}
	for _, x := range ranges {
		// Whichever is shorter is walked: a range is a stranger's word and may span 2^63 numbers,
		// which the test for seq >= 0 ends where adding 1 wraps round.
		if x.Last-x.First < int64(len(r.open)) {
			for seq := x.First; seq <= x.Last && seq >= 0; seq++ {
				if _, ok := r.open[seq]; ok {
					t.take(r, seq, r.shots[seq], d.At)
				}
			}
			continue
		}
		for seq := range r.open { // order does not show
			if x.First <= seq && seq <= x.Last {
				t.take(r, seq, r.shots[seq], d.At)
			}
		}
	}
}

// take notes that a segment is acknowledged.
func (t *Transaction) take(r *Receiver, seq int64, s *shot, at time.Time) {
	s.acked = at
	delete(r.open, seq)
	r.Acked++
	r.Last, t.End = at, at
	if g := t.segments[seq]; !g.acked {
		g.acked = true
		t.Acked++
	}
}
