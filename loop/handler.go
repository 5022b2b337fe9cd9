// Package loop drives a [Handler] over datagram sockets with epoll, one thread
// and no allocation per datagram.
//
// A Handler is a program without I/O: it takes datagrams and instants and gives
// datagrams and the instant at which it wants to be woken. That seam is what
// lets the same program run over real sockets here and over a simulated network
// in tests, byte for byte.
package loop

import (
	"net/netip"
	"time"
)

// ShortDatagram is what a datagram of up to some 200 bytes, as an acknowledgement is,
// takes of a socket's receive buffer, in bytes: the kernel counts all that it holds for
// one (its "truesize"), and not what is in it. A buffer too small for those that are
// on their way loses them.
const ShortDatagram = 1300

// Truesize is what a datagram of n bytes takes of a socket's receive buffer at most, in
// bytes, as [ShortDatagram] is for short ones: by the sizes in which Linux allocates, for
// datagrams of this host and of usual network drivers. A train of them that is received as
// one (see [Options.Trains]) takes hardly more than its bytes, but what cannot be merged
// comes alone.
func Truesize(n int) int {
	const describes, beside = 256, 448 // sk_buff; headers, room for a driver, skb_shared_info
	if n > 8<<10 {
		return n + n/8 + 8<<10 // in pages from there on
	}
	size := 1024
	for size < n+beside {
		size *= 2
	}
	return describes + size
}

// An Envelope is what is known of a datagram besides its bytes.
type Envelope struct {
	// Sock is the index of the socket, in the order given to [Run].
	Sock int
	// Peer is the other end. Addresses of IPv4 hosts are always plain IPv4,
	// never IPv4-mapped, whatever the family of the socket. Its port is 0 on a
	// raw socket.
	Peer netip.AddrPort
	// Local is this end: on receipt the address that was addressed, on transmit
	// the source address to use. It is the zero value where the socket does
	// not tell (see [Options.PacketInfo]) or the kernel may choose.
	Local netip.AddrPort
	// At is the instant of arrival: the kernel's, where the socket stamps
	// datagrams (see [Options.Stamp]), else that of the wake-up. It is never after
	// the wake-up. It has no meaning on transmit.
	At time.Time
	// Remote says of a call of Fail that the error came back from the network, as an
	// ICMP message does. Else this host itself refused to send.
	Remote bool
	// Quote is, on Fail, the beginning of the datagram that a Remote error is about, as
	// far as the error tells it, which may be nothing at all. It is valid only during
	// the call.
	Quote []byte
}

// A Beside runs what may block, such as a flush or the lookup of a name, outside the
// loop. job is called once, on another goroutine; what it returns, if not nil, is then
// called as the Handler's methods are: by the loop's goroutine, with the loop's now. It
// never calls either before it has returned itself. Over sockets it is a [Waker]'s; in a
// simulation the answer comes after a time that is drawn.
type Beside func(job func() (back func(now time.Time)))

// A Handler is a program that a loop drives. It does no I/O and reads no clock.
// All calls come from one goroutine, and now never goes backwards. The
// *Envelope belongs to the loop and is valid only during the call.
//
// The order of the calls is part of the seam. They come in rounds:
//
//   - Receive for what came, at most one batch from each socket, and Fail for errors, in any
//     order of sockets. Those of one socket are in the order of their arrival.
//   - What other goroutines posted (see [Waker]).
//   - Expire, if the instant that Next last gave has come. What was in the sockets
//     by that instant has been handed over, however late Expire is; where that is more than a
//     batch, whole rounds without an Expire come first. It may be called early
//     in none of them, and late in any.
//   - Transmit until ok is false, or a batch is full; not at all while a socket has no room
//     to send. Fail may come between two Transmits, of either's datagram or of an earlier one.
//     So a Handler must be ready to fail a datagram before it is asked for the next.
//   - Next, once. If ok is false there and nothing is left to send, it was the last call.
//
// The first round has no Receive and no Expire: it asks what to send, and when. Sockets are
// numbered as they are given to [Run].
type Handler interface {
	// Receive takes a datagram. b is valid only during the call.
	Receive(now time.Time, e *Envelope, b []byte)
	// Fail takes an error that the kernel holds against datagrams sent to e.Peer
	// through e.Sock: a bare [syscall.Errno] such as ECONNREFUSED (ICMP port
	// unreachable), EHOSTUNREACH or EMSGSIZE, from the socket's error queue (ip(7),
	// IP_RECVERR) or from the send itself.
	Fail(now time.Time, e *Envelope, err error)
	// Expire does everything due at or before now.
	Expire(now time.Time)
	// Transmit appends the next datagram to b, which is empty, and addresses it in
	// e, which is zero; ok is false when none is due. On a stamped socket now is the
	// instant right before the datagram is handed to the kernel, unless a long row for other
	// sockets stands before it in one batch.
	Transmit(now time.Time, e *Envelope, b []byte) (out []byte, ok bool)
	// Next reports when Expire is due; ok is false when the program has ended.
	// A program that waits for datagrams alone gives an instant far away.
	Next() (at time.Time, ok bool)
}
