package trace

import (
	"bytes"
	"net/netip"
	"unicode/utf8"

	"mdalp/internal/pcapng"
	"mdalp/seal"
	"mdalp/wire"
)

// Keys open what is sealed, as far as they reach.
type Keys struct {
	// Ring tells whose intent one is. It opens nothing else: what follows is sealed with keys
	// that were drawn for it alone.
	Ring *seal.Keyring
	// Secrets open transactions.
	Secrets []*seal.Secret
}

// An opener opens one transaction. Where several have its TID, as at several servers, the
// one that opens something is its.
type opener struct {
	all []*seal.Secret
	by  []*seal.Opener // beside all
	// The channels of the receivers, once something of theirs was opened.
	channel map[netip.AddrPort]int
	places  int // receivers of the longest offer
}

// hasNoise reports whether the DATA of an intent or an offer is sealed, as far as the
// capture has it.
func hasNoise(data []byte) bool {
	head := data[:min(len(data), 64)]
	return bytes.Contains(head, []byte("'noise'")) || bytes.Contains(head, []byte(`"noise"`))
}

// whose gives the ID of the key that sealed an intent, and whether it is one of ours.
func (a *Analyzer) whose(d *pcapng.Datagram, m *wire.Message) (id string, known bool) {
	if !hasNoise(m.Data) {
		return "", false
	}
	h, err := wire.ParseHandshake(m.Data)
	if err != nil {
		return "", false
	}
	if a.Keys.Ring != nil {
		_, err := seal.Open(a.Keys.Ring, d.Data)
		known = err == nil
	}
	return h.Key, known
}

// wait takes the answer to a sealed intent that is no offer yet.
func (a *Analyzer) wait(d *pcapng.Datagram) {
	a.trace.Messages++
	if i := a.intents[pair{d.Dst, d.Src}]; i != nil {
		i.Waits++
	}
}

// sealedOffer begins a sealed transaction.
func (a *Analyzer) sealedOffer(t *Transaction, d *pcapng.Datagram) {
	a.seal(t)
	if t.opener != nil {
		if m, err := wire.Parse(t.opener.all[0].Offer); err == nil {
			plain := *d
			plain.Cut, plain.Missing = false, 0
			t.offer(&plain, m.Data)
		}
	}
}

// seal notes that a transaction is sealed, and looks for what opens it.
func (a *Analyzer) seal(t *Transaction) {
	if t.Sealed {
		return
	}
	t.Sealed, t.Extended = true, true
	for _, x := range a.Keys.Secrets {
		if x.TID != t.TID {
			continue
		}
		if t.opener == nil {
			t.opener = &opener{channel: make(map[netip.AddrPort]int)}
		}
		o := t.opener
		o.all, o.by = append(o.all, x), append(o.by, x.Opener())
		if m, err := wire.Parse(x.Offer); err == nil {
			offered, _ := wire.ParseReceivers(m.Data)
			o.places = max(o.places, len(offered))
		}
	}
}

// unseal gives a datagram and its message as they were before they were sealed. Of what
// cannot be opened it takes what shows from outside: of a segment its length, of the rest
// that it was there. d is nil where nothing is left to be done.
func (a *Analyzer) unseal(d *pcapng.Datagram, m wire.Message) (*pcapng.Datagram, wire.Message) {
	var client, receiver netip.AddrPort
	switch m.Type {
	case wire.Data, wire.ManifestType:
		client, receiver = d.Src, d.Dst
	case wire.Ack, wire.StateType:
		client, receiver = d.Dst, d.Src
	default:
		return d, m
	}
	t := a.met(client, m.TID)
	switch {
	case t != nil && t.Sealed:
	case (t == nil || t.Offers+t.Manifests == 0) && m.TID != wire.Absent && looksSealed(&m):
		t = a.known(client, m.TID)
		a.seal(t)
	default:
		return d, m
	}
	if t.opener != nil && !d.Cut {
		if plain := t.opener.open(d, &m, receiver); plain != nil {
			t.Opened = true
			p := *d
			p.Data = plain
			m, err := wire.Parse(plain)
			if err == nil {
				return &p, m
			}
		}
		a.trace.Messages++
		t.Unopened++
		return nil, m
	}
	return a.outside(t, d, m)
}

// outside takes what a sealed datagram shows to everybody.
func (a *Analyzer) outside(t *Transaction, d *pcapng.Datagram, m wire.Message) (*pcapng.Datagram,
	wire.Message) {
	switch m.Type {
	case wire.Data:
		// Without the tag it is as long as the segment.
		p := *d
		tag := min(seal.Overhead, p.Missing)
		p.Missing -= tag
		m.Data = m.Data[:max(0, len(m.Data)-(seal.Overhead-tag))]
		return &p, m
	case wire.Ack:
		if r := t.met(d.Src); r != nil && m.Num != wire.Absent {
			t.receipt(r, d, &m, []wire.Range{{First: m.Num, Last: m.Num}})
		}
	case wire.ManifestType:
		if t.Manifests++; t.Manifests == 1 {
			t.Announced = d.At
			if !t.Orchestrator.IsValid() {
				t.Orchestrator = d.Dst
			}
		}
	case wire.StateType:
		t.States++
	}
	a.trace.Messages++
	return nil, m
}

// met gives the transaction of a client that is there already, or nil.
func (a *Analyzer) met(client netip.AddrPort, tid int64) *Transaction {
	if t := a.byKey[key{client, tid}]; t != nil {
		return t
	}
	return a.byHost[key{netip.AddrPortFrom(client.Addr(), 0), tid}]
}

// looksSealed reports whether a message of a transaction whose offer is not in the capture
// // is sealed: acknowledgements, manifests and states are text, and sealed they hardly ever are.
func looksSealed(m *wire.Message) bool {
	if m.Type == wire.Data || len(m.Data) <= seal.Overhead {
		return false
	}
	return bytes.ContainsFunc(m.Data, func(r rune) bool { return r < ' ' || r == utf8.RuneError })
}

// open gives the plain datagram, or nil.
func (o *opener) open(d *pcapng.Datagram, m *wire.Message, receiver netip.AddrPort) []byte {
	n, client := m.Seq, m.Type == wire.Data || m.Type == wire.ManifestType
	if m.Type == wire.Data {
		n = m.Num
	}
	if n < 0 || m.Data == nil {
		return nil
	}
	from, to := seal.Orchestrator, seal.Orchestrator+1
	place, met := 0, true
	if m.Type == wire.Data || m.Type == wire.Ack {
		if place, met = o.channel[receiver]; met {
			from, to = place, place+1
		} else { // which place in the offer it has, its first datagram shows
			from, to = 0, o.places
		}
	}
	for channel := from; channel < to; channel++ {
		for i, by := range o.by {
			plain, err := by.Open(d.Data, len(d.Data)-len(m.Data), uint64(n), channel, client)
			if err != nil {
				continue
			}
			if !met {
				o.channel[receiver] = channel
			}
			o.all, o.by = o.all[i:i+1], o.by[i:i+1]
			return plain
		}
	}
	return nil
}
