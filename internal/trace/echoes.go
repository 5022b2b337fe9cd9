package trace

import (
	"encoding/binary"
	"net/netip"
	"time"

	"mdalp/internal/pcapng"
)

// maxEchoes bounds the echoes that are kept: a capture may hold a flood of them.
const maxEchoes = 1 << 20

// before is how long before the first segment an echo may belong to a transaction whose
// offer is not in the capture.
const before = 60 * time.Second

// echoes are the ICMP echoes of a capture, by who sent them to whom.
type echoes struct {
	all []echo
	// An identifier and sequence number that are used anew stand for the latest echo.
	last map[echoKey]int // the place of the latest with that key, in all
}

type echoKey struct {
	from, to netip.Addr
	id, seq  uint16
}

// An echo was sent, and answered unless took is negative.
type echo struct {
	key  echoKey
	sent time.Time
	took time.Duration
}

// add takes an ICMP message; it reports whether that is an echo or its answer (RFC 792;
// RFC 4443, section 4).
func (e *echoes) add(d *pcapng.Datagram) bool {
	if len(d.Data) < 8 || d.Data[1] != 0 {
		return false
	}
	k := echoKey{d.Src.Addr(), d.Dst.Addr(), binary.BigEndian.Uint16(d.Data[4:]), binary.BigEndian.Uint16(d.Data[6:])}
	switch typ := d.Data[0]; {
	case d.Proto == pcapng.ICMP && typ == 8, d.Proto == pcapng.ICMPv6 && typ == 128:
		if e.last == nil {
			e.last = make(map[echoKey]int)
		}
		if len(e.all) < maxEchoes {
			e.last[k] = len(e.all)
			e.all = append(e.all, echo{k, d.At, -1})
		}
		return true
	case d.Proto == pcapng.ICMP && typ == 0, d.Proto == pcapng.ICMPv6 && typ == 129:
		k.from, k.to = k.to, k.from
		if i, ok := e.last[k]; ok && e.all[i].took < 0 {
			e.all[i].took = max(0, d.At.Sub(e.all[i].sent))
		}
		return true
	}
	return false
}

// assign gives every echo to the transaction that it was sent for: the latest that had
// begun and had not sent its first segment.
func (e *echoes) assign(all []*Transaction) {
	type hosts struct{ client, receiver netip.Addr }
	type part struct {
		t  *Transaction
		rs []*Receiver // those that share a host share its echoes
	}
	by := make(map[hosts][]*part)
	for _, t := range all {
		parts := make(map[netip.Addr]*part, len(t.Receivers))
		for _, r := range t.Receivers {
			host := r.Addr.Addr()
			p := parts[host]
			if p == nil {
				p = &part{t: t}
				parts[host] = p
				h := hosts{t.Client.Addr(), host}
				by[h] = append(by[h], p)
			}
			p.rs = append(p.rs, r)
		}
	}
	for i := range e.all {
		x := &e.all[i]
		var best *part
		for _, p := range by[hosts{x.key.from, x.key.to}] {
			from := p.t.Offer
			if from.IsZero() {
				from = p.t.Begin.Add(-before)
			}
			if x.sent.Before(from) || !p.t.Begin.IsZero() && x.sent.After(p.t.Begin) {
				continue
			}
			if best == nil || p.t.start().After(best.t.start()) {
				best = p
			}
		}
		if best == nil {
			continue
		}
		for _, r := range best.rs {
			if r.EchoesSent++; x.took >= 0 {
				r.Echoes = append(r.Echoes, x.took)
			}
		}
	}
}
