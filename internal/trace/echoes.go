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
	// The latest answers to no echo, in a ring: the capture may have one a moment early.
	early [maxEarly]echo
	next  int
}

type echoKey struct {
	from, to netip.Addr
	id, seq  uint16
}

// An echo was sent, and answered unless took is negative.
type echo struct {
	key   echoKey
	sent  time.Time
	took  time.Duration
	known bool  // how long it took
	count int64 // the datagram's number
}

// add takes an ICMP message; it reports whether that is an echo or its answer (RFC 792;
// RFC 4443, section 4). count is the datagram's number.
func (e *echoes) add(d *pcapng.Datagram, count int64) bool {
	if len(d.Data) < 8 || d.Data[1] != 0 {
		return false
	}
	k := echoKey{d.Src.Addr(), d.Dst.Addr(), binary.BigEndian.Uint16(d.Data[4:]),
		binary.BigEndian.Uint16(d.Data[6:])}
	switch typ := d.Data[0]; {
	case d.Proto == pcapng.ICMP && typ == 8, d.Proto == pcapng.ICMPv6 && typ == 128:
		if e.last == nil {
			e.last = make(map[echoKey]int)
		}
		if len(e.all) < maxEchoes {
			e.last[k] = len(e.all)
			e.all = append(e.all, echo{key: k, sent: d.At, took: -1, count: count})
			for i := range e.early {
				if x := &e.early[i]; x.count > 0 && x.key == k && moment(x.sent, d.At, count-x.count) {
					e.all[e.last[k]].took, x.count = 0, 0
				}
			}
		}
		return true
	case d.Proto == pcapng.ICMP && typ == 0, d.Proto == pcapng.ICMPv6 && typ == 129:
		k.from, k.to = k.to, k.from
		if i, ok := e.last[k]; !ok {
			e.early[e.next] = echo{key: k, sent: d.At, count: count}
			e.next = (e.next + 1) % maxEarly
		} else if x := &e.all[i]; x.took < 0 {
			x.took, x.known = between(x.sent, d.At)
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
			if p.t.begun > 0 && x.count > p.t.begun || x.count < p.t.offered {
				continue
			}
			if early, ok := between(x.sent, p.t.Begin); p.t.offered == 0 && ok && early > before {
				continue
			}
			if best == nil || p.t.first > best.t.first {
				best = p
			}
		}
		if best == nil {
			continue
		}
		for _, r := range best.rs {
			if r.EchoesSent++; x.took >= 0 {
				r.Answered++
			}
			if x.known {
				r.Echoes = append(r.Echoes, x.took)
			}
		}
	}
}
