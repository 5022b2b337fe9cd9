package trace

import (
	"bytes"
	"errors"
	"io"
	"net/netip"

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
	// Keys may be set before the first datagram.
	Keys  Keys
	trace Trace
	// In the order of their first datagram, also those whose TID was used anew.
	open []*Transaction
	// A TID is the orchestrator's number and not unique among several, so the client's address
	// and port belong to the key.
	byKey map[key]*Transaction
	// The latest of a client's host, whatever its port, which is 0 here.
	byHost map[key]*Transaction
	// Intents that no offer has answered yet.
	intents map[pair]*Intent
	asked   []pair // the keys of intents, as they came
	echoes  echoes
	copies  copies
	clock   clock
	count   int64 // datagrams so far
	ranges  [wire.MaxAckRanges]wire.Range
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
func Read(r io.Reader) (*Trace, error) { return ReadSealed(r, Keys{}) }

// ReadSealed is Read with keys that open what is sealed.
func ReadSealed(r io.Reader, k Keys) (*Trace, error) {
	a := Analyzer{Keys: k}
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
// news, and not a copy of one before, which counts for nothing. Where the clock of the
// capture was set back, it sets d.At right.
func (a *Analyzer) Add(d *pcapng.Datagram) (fresh bool) {
	if a.byKey == nil {
		a.byKey = make(map[key]*Transaction)
		a.byHost = make(map[key]*Transaction)
		a.intents = make(map[pair]*Intent)
	}
	d.At = a.clock.set(d.At)
	a.count++
	if a.copies.isCopy(d) {
		a.trace.Copies++
		return false
	}
	a.add(d)
	return true
}

// add takes a datagram that is no copy.
func (a *Analyzer) add(d *pcapng.Datagram) {
	if d.Proto != pcapng.UDP {
		if a.echoes.add(d, a.count) {
			a.trace.Echoes++
		} else {
			a.trace.Foreign++
		}
		return
	}
	if n := train(d.Data, d.Cut); n > 0 {
		a.apart(d, n)
	} else {
		a.single(d)
	}
}

// single takes a datagram of UDP as it was on the wire.
func (a *Analyzer) single(d *pcapng.Datagram) {
	m, err := wire.Parse(d.Data)
	ours := wire.LooksLikeOurs(d.Data)
	switch {
	// A number may end where the datagram does, so of one that was cut nothing is sure that
	// is not before DATA.
	case ours && d.Cut && (err != nil || m.Data == nil):
		a.trace.Cut++
		return
	case ours && err != nil:
		a.trace.Malformed++
		return
	case err != nil: // any other traffic is nothing to complain of
		a.trace.Foreign++
		return
	}
	if _, ok := wire.ParseCookie(m.Data); ok && m.Type == wire.Offer && m.TID == wire.Absent {
		a.trace.Messages++ // in place of an offer, which is still to come
		return
	}
	if m.Type == wire.Offer && m.TID == wire.Absent && hasNoise(m.Data) {
		a.wait(d)
		return
	}
	if needs := m.Type == wire.Data || m.Type == wire.Ack; needs && m.Seq == wire.Absent ||
		(needs || m.Type == wire.Offer) && m.TID == wire.Absent {
		a.trace.Malformed++
		return
	}
	if d, m = a.unseal(d, m); d == nil {
		return
	}
	a.message(d, &m)
}

// message takes a message as it was before it was sealed, if it was.
func (a *Analyzer) message(d *pcapng.Datagram, m *wire.Message) {
	switch m.Type {
	case wire.ManifestType:
		a.manifest(d, m)
		return
	case wire.StateType:
		a.state(d, m)
		return
	case wire.Ack:
		if m.Num == wire.Absent {
			break
		}
		ranges, err := wire.ParseAckRanges(m, a.ranges[:0])
		if err != nil {
			a.spoilt(d)
			return
		}
		a.trace.Messages++
		t := a.known(d.Dst, m.TID)
		if r := t.met(d.Src); r != nil {
			t.receipt(r, d, m, ranges)
		}
		return
	}
	a.trace.Messages++
	switch m.Type {
	case wire.Intent:
		a.intent(d, m)
	case wire.Offer:
		a.offer(d, m)
	case wire.Data:
		if m.Num != wire.Absent {
			a.known(d.Src, m.TID).data(d, m, a.count)
		} else {
			a.transaction(d.Src, m.TID).data(d, m, a.count)
		}
	case wire.Ack:
		a.transaction(d.Dst, m.TID).ack(d, m)
	}
}

// transaction gives the transaction of a client, and makes it if need be.
func (a *Analyzer) transaction(client netip.AddrPort, tid int64) *Transaction {
	k := key{client, tid}
	t := a.byKey[k]
	if t == nil {
		t = &Transaction{TID: tid, Client: client, Resume: wire.Absent,
			byAddr: make(map[netip.AddrPort]*Receiver), first: a.count}
		a.byKey[k] = t
		a.byHost[key{netip.AddrPortFrom(client.Addr(), 0), tid}] = t
		a.open = append(a.open, t)
	}
	return t
}

// intent begins to wait for an offer.
func (a *Analyzer) intent(d *pcapng.Datagram, m *wire.Message) {
	k := pair{d.Src, d.Dst}
	// The capture may have it a moment behind its offer.
	if n := len(a.open); n > 0 {
		if t := a.open[n-1]; t.Client == k.client && t.Orchestrator == k.orchestrator && t.Intents == 0 &&
			moment(t.Offer, d.At, a.count-t.offered) {
			t.Intent, t.Intents = d.At, 1
			t.Key, t.Known = a.whose(d, m)
			return
		}
	}
	i := a.intents[k]
	if i == nil {
		i = &Intent{At: d.At, Client: d.Src, Orchestrator: d.Dst, count: a.count}
		i.Key, i.Known = a.whose(d, m)
		a.intents[k] = i
		a.asked = append(a.asked, k)
	}
	i.Times++
}

// offer begins a transaction. One that is repeated changes nothing but a count.
func (a *Analyzer) offer(d *pcapng.Datagram, m *wire.Message) {
	k := pair{d.Dst, d.Src}
	if t := a.byKey[key{d.Dst, m.TID}]; t != nil && t.Datagrams > 0 && a.intents[k] != nil {
		delete(a.byKey, key{d.Dst, m.TID}) // the TID is used anew
	}
	t := a.transaction(d.Dst, m.TID)
	if t.Offers++; t.Offers > 1 {
		return
	}
	t.Offer, t.Orchestrator, t.offered = d.At, d.Src, a.count
	if i := a.intents[k]; i != nil {
		t.Intent, t.Intents, t.first = i.At, i.Times, i.count
		t.Key, t.Known = i.Key, i.Known
		delete(a.intents, k)
	}
	if hasNoise(m.Data) {
		a.sealedOffer(t, d)
		return
	}
	t.offer(d, m.Data)
}

// offer reads the list of an offer. Of one that was cut, those receivers are known that
// are there whole.
func (t *Transaction) offer(d *pcapng.Datagram, list []byte) {
	offered, err := wire.ParseReceivers(list)
	switch {
	case err == nil && list == nil:
		t.BadOffer = errors.New("it has no DATA")
	case err != nil && d.Cut:
		t.CutOffer = true
		if i := bytes.LastIndexByte(list, '}'); i >= 0 {
			offered, _ = wire.ParseReceivers(append(bytes.Clone(list[:i+1]), ']'))
		}
	case err != nil:
		t.BadOffer = err
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
			r.Name, r.Offered, r.Seg, r.Win = o.Name, true, o.Seg, o.Win
			t.Receivers = append(t.Receivers, r)
		}
	}
	for _, r := range seen { // before the offer: packets may be out of order
		if !r.Offered {
			t.Receivers = append(t.Receivers, r)
		}
	}
}
