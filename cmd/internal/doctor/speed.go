package doctor

import (
	"fmt"
	"net/netip"

	"mdalp/cmd/internal/table"
	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

// What costs speed here. A send works with all of it, so these are warnings.

// tryUDP opens a socket as a send does, and gives the receive buffer that it got, and
// whether the kernel cuts trains of datagrams.
func tryUDP(local netip.Addr) (buffer int, trains bool, err error) {
	s, err := loop.Listen(netip.AddrPortFrom(local, 0), loop.Options{Errors: true})
	if err != nil {
		return 0, false, err
	}
	trains, _ = s.Offload()
	return s.ReceiveBuffer(), trains, s.Close()
}

// judgeWindows looks how many segments a server on this host could take at once: that many a
// round trip is its speed. The kernel grants twice what is asked, or twice its limit.
func (f *Facts) judgeWindows() Check {
	if f.udp != nil {
		return Check{"windows", fine, "not tried", ""}
	}
	n := server.Window(f.buffer, server.DefaultSegment)
	c := Check{"windows", fine,
		fmt.Sprintf("a server here takes %d segments of %d bytes at once", n, server.DefaultSegment), ""}
	if f.buffer < 2*loop.DefaultReceiveBuffer {
		c.State = warning
		c.Text += fmt.Sprintf(": %s for each round trip", table.Amount(int64(n)*server.DefaultSegment))
		// Else the limit is high enough already, and raising it would not help.
		if f.rmemMax < loop.DefaultReceiveBuffer {
			c.Fix = f.sudo(fmt.Sprintf("sysctl -w net.core.rmem_max=%d", loop.DefaultReceiveBuffer))
		}
	}
	return c
}

// judgeOffload looks whether the kernel cuts trains of segments itself.
func (f *Facts) judgeOffload() Check {
	switch {
	case f.udp != nil:
		return Check{"offload", fine, "not tried", ""}
	case !f.trains:
		return Check{"offload", warning, "this kernel takes no trains of segments " +
			"(UDP_SEGMENT, Linux 4.18): each costs a system call's work", ""}
	}
	return Check{"offload", fine, "the kernel takes trains of segments (UDP_SEGMENT)", ""}
}

// Bytes of the headers below ours: of IPv4 and UDP, of IPv6 and UDP.
const (
	headers4 = 20 + 8
	headers6 = 40 + 8
)

// leastExtended is the size that extended segments have where nothing larger is known to fit.
const leastExtended = 1200

// judgeSize says how large extended segments can be on a way with packets of at most mtu
// bytes: the larger they are, the less they cost.
func (w *way) judgeSize(c *Check, mtu int) {
	headers := headers4
	if w.to.Is6() {
		headers = headers6
	}
	// The longest header there is: most are shorter by half.
	fits := min(mtu-headers-wire.MaxHeader, wire.MaxSegment)
	if fits < leastExtended {
		c.State = warning
		c.Text += fmt.Sprintf(": extended segments of %d bytes may go in fragments", leastExtended)
		c.Fix = "sudo ip link set dev " + w.device + " mtu 1500"
		return
	}
	c.Text += fmt.Sprintf(", extended segments of up to %d bytes", fits)
}
