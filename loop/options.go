package loop

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"
)

// A Conn is an open socket to give to [New], such as a [net.UDPConn].
type Conn interface {
	syscall.Conn
	io.Closer
}

// Defaults of [Options].
const (
	// DefaultMaxDatagram holds every UDP datagram and every IPv4 packet.
	DefaultMaxDatagram = 65535
	// DefaultReceiveBuffer is in bytes. The kernel doubles it, which makes room for
	// some 6,000 datagrams of [ShortDatagram].
	DefaultReceiveBuffer = 4 << 20
)

// Options are the settings of a [Socket]. The zero value works.
type Options struct {
	// MaxDatagram is the longest datagram to receive, in bytes. Longer ones are
	// dropped and counted. 0 means [DefaultMaxDatagram]; memory is only used for
	// what arrives.
	MaxDatagram int
	// PacketInfo fills Envelope.Local of received datagrams (ip(7), IP_PKTINFO;
	// RFC 3542, section 6.1).
	PacketInfo bool
	// Stamp fills Envelope.At with the kernel's time of arrival (socket(7),
	// SO_TIMESTAMPNS), and sends every datagram alone, right after Transmit: in a
	// batch a round-trip time would measure the place in the queue. It costs the
	// Transmits of the Run clock readings, but for those of a long row that is not stamped.
	Stamp bool
	// Errors reports ICMP errors through Handler.Fail (ip(7), IP_RECVERR).
	Errors bool
	// Replies says that what is sent draws replies, as a client's does. With one CPU
	// alone the loop then lets their senders run before it sleeps, which spares both
	// to be woken. A server that did so would hold up clients that sleep.
	Replies bool
	// ReceiveBuffer is the size of the kernel's receive buffer in bytes; see
	// [Socket.ReceiveBuffer] for what was granted. 0 means at least
	// [DefaultReceiveBuffer].
	ReceiveBuffer int
	// KeepBuffers leaves the kernel's buffers as they are, of a socket that was set up by who
	// has opened it, whatever ReceiveBuffer says.
	KeepBuffers bool
	// Trains says that the socket may be sent datagrams in long runs, as a receiver of
	// windows is: what the kernel has put together of a run (udp(7), UDP_GRO) is then taken
	// as it is and handed on datagram by datagram, each with the same Envelope. It sets
	// MaxDatagram to its most. A train takes less of the receive buffer than its
	// datagrams would alone, but nobody may count on it: see [ShortDatagram].
	Trains bool
	// Offload is [OffloadAuto] or [OffloadOff].
	Offload Offload
}

// Offload says whether the kernel's segmentation offload (udp(7), UDP_SEGMENT and UDP_GRO)
// is used.
type Offload uint8

// The ways to use it.
const (
	// OffloadAuto sends datagrams in a row to one peer as one message where that works,
	// and takes such messages where [Options.Trains] asks for it.
	OffloadAuto Offload = iota
	// OffloadOff does neither.
	OffloadOff
)

var offloadNames = [...]string{OffloadAuto: "auto", OffloadOff: "off"}

// String gives the name that [ParseOffload] takes: auto or off.
func (o Offload) String() string {
	if int(o) < len(offloadNames) {
		return offloadNames[o]
	}
	return "offload(" + strconv.Itoa(int(o)) + ")"
}

// ParseOffload gives the offload that s names: auto or off.
func ParseOffload(s string) (Offload, error) {
	for o, name := range offloadNames {
		if s == name {
			return Offload(o), nil
		}
	}
	return OffloadAuto, fmt.Errorf("loop: offload %q is none of auto, off", s)
}

// MarshalText implements [encoding.TextMarshaler]. It fails for a value without a name.
func (o Offload) MarshalText() ([]byte, error) {
	if int(o) >= len(offloadNames) {
		return nil, fmt.Errorf("loop: %v has no name", o)
	}
	return []byte(offloadNames[o]), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler], as [ParseOffload] does.
func (o *Offload) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOffload(string(text))
	return err
}

// Stats counts what happened on a [Socket].
type Stats struct {
	Received, Sent uint64 // datagrams
	Receives       uint64 // system calls that receive, fruitless ones included
	Sends          uint64 // system calls that send
	Truncated      uint64 // received datagrams dropped because they were too long
	Blocked        uint64 // times that the send buffer was full
	Lost           uint64 // datagrams lost because the kernel had no memory to send them
	Trains         uint64 // messages of more than one datagram that were sent
	Refusing       uint64 // hosts to which the kernel refused to send any
	// Drops is how many datagrams came and were dropped by the kernel, nearly always because
	// the receive buffer was full (socket(7), SO_RXQ_OVFL; SO_MEMINFO tells the same
	// number without a word at each datagram). 0 before Linux 4.12. It counts from when
	// the kernel's socket was opened: one that another process had may have dropped some before.
	Drops uint64
}

// ErrZone is in the error of [Zone].
var ErrZone = errors.New("no such interface")
