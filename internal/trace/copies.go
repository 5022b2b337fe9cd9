package trace

import (
	"hash/crc64"
	"net/netip"
	"time"

	"mdalp/internal/pcapng"
)

// How soon a copy of a datagram follows the first. One with an identification cannot be
// a repetition, for which the sender would have drawn another; without one, as IPv6 and
// Linux with DF send them, time must tell. The quickest repetition of ours comes after
// 10 ms, and is never captured on other interfaces alone.
const (
	copyByID      = 2 * time.Second
	copyElsewhere = 50 * time.Millisecond
	copyHere      = time.Millisecond
	copyFrames    = 64 // where there are no times
)

// maxCopies bounds the datagrams whose copies are looked for.
const maxCopies = 1 << 14

// maxPlaces is on how many interfaces one is followed.
const maxPlaces = 16

// copies tells datagrams that are in a capture more than once. The "any" interface of
// Linux gives a datagram on each interface that it passes, such as the port of a bridge,
// the bridge, and the way out; several interfaces may be captured at once; and a mirrored
// port may give it coming and going. None of that is a retransmission.
type copies struct {
	seen  map[print]*first
	order []print // a ring of the keys of seen, the oldest at next
	next  int
}

// A print is what copies of a datagram have in common.
type print struct {
	src, dst netip.AddrPort
	id       uint32
	size     int
	sum      uint64
}

// A place is where a copy was captured: no datagram comes twice there.
type place struct {
	iface uint64
	dir   pcapng.Dir
	ttl   uint8
}

// A first is the first of a datagram's copies.
type first struct {
	at     time.Time
	frame  int64
	places []place
}

// isCopy reports whether d was there before, and notes it.
func (c *copies) isCopy(d *pcapng.Datagram) bool {
	if c.seen == nil {
		c.seen = make(map[print]*first)
	}
	// The table is made by the first call: programs that read no capture have this package, too.
	sum := crc64.Checksum(d.Data, crc64.MakeTable(crc64.ECMA))
	k := print{d.Src, d.Dst, d.Origin.ID, len(d.Data), sum}
	p := place{d.Origin.Iface, d.Dir, d.Origin.TTL}
	f := c.seen[k]
	if f == nil {
		f = new(first)
		c.keep(k, f)
	} else if f.holds(d, p) {
		if len(f.places) < maxPlaces {
			f.places = append(f.places, p)
		}
		return true
	}
	f.at, f.frame, f.places = d.At, d.Frame, append(f.places[:0], p)
	return false
}

// keep makes room for one more.
func (c *copies) keep(k print, f *first) {
	if len(c.order) < maxCopies {
		c.order = append(c.order, k)
	} else {
		delete(c.seen, c.order[c.next])
		c.order[c.next] = k
		c.next = (c.next + 1) % maxCopies
	}
	c.seen[k] = f
}

// holds reports whether d, which looks the same and was captured at p, is a copy.
func (f *first) holds(d *pcapng.Datagram, p place) bool {
	within := func(t time.Duration) bool {
		if d.At.IsZero() || f.at.IsZero() {
			return d.Frame-f.frame <= copyFrames
		}
		return d.At.Sub(f.at).Abs() <= t
	}
	for _, q := range f.places {
		if q != p {
			continue
		}
		// The same interface again. Where the operating system names it, the network or the
		// sender has doubled the datagram.
		switch {
		case d.Origin.Own:
			return false
		case d.Origin.ID != 0 || p.iface == 0 && p.ttl != 0:
			return !d.At.IsZero() && !f.at.IsZero() && within(copyHere)
		}
		return false
	}
	if d.Origin.ID != 0 {
		return within(copyByID)
	}
	return within(copyElsewhere)
}
