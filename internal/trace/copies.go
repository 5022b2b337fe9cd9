package trace

import (
	"bytes"
	"net/netip"
	"time"

	"mdalp/internal/pcapng"
)

// copyWithin is how soon the second copy of a datagram follows the first.
const copyWithin = time.Millisecond

// copies tells datagrams that are in a capture twice. The "any" interface of Linux gives
// what goes from one interface of the host to another, as over veth(4), once as sent and
// once as received, one right after the other, which is not to be taken for a
// retransmission.
type copies struct {
	out      []byte // the latest outgoing datagram
	at       time.Time
	src, dst netip.AddrPort
	// No copy of it has come yet: only one is passed over, the next is a datagram of its own.
	fresh bool
}

// seen reports whether d is the incoming copy of the outgoing datagram before it.
func (c *copies) seen(d *pcapng.Datagram) bool {
	switch d.Dir {
	case pcapng.Out:
		c.out = append(c.out[:0], d.Data...)
		c.at, c.src, c.dst, c.fresh = d.At, d.Src, d.Dst, true
	case pcapng.In:
		if c.fresh && d.Src == c.src && d.Dst == c.dst && d.At.Sub(c.at) <= copyWithin && bytes.Equal(d.Data, c.out) {
			c.fresh = false
			return true
		}
	}
	return false
}
