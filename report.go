package mdalp

import (
	"net/netip"
	"time"

	"mdalp/icmp"
	"mdalp/wire"
)

// A Report tells what a transfer did, or has done so far.
type Report struct {
	Phase        Phase
	Orchestrator netip.AddrPort // the one that answered last, or was asked last
	Moves        int64          // times that another was asked, as this one was silent or refused
	TID          int64          // 0 before the offer
	Balance      Balance
	Ping         icmp.Mode // the kind of socket the echoes used; Off if there were none

	Size     int64 // bytes of the payload
	Acked    int64 // bytes acknowledged
	Segments int64 // segments the payload was cut into; 0 before the split
	Left     int64 // segments not acknowledged
	// Missing lists the segments not acknowledged, when the transfer has ended
	// without success.
	Missing []wire.Range

	// Sealed says that everything was sealed with the key of the configuration.
	// Key is its ID.
	Sealed bool
	Key    string
	// Extended says that the extended protocol was spoken, with segments of Segment bytes.
	Extended bool
	Segment  int
	// Resumed is how many bytes an earlier transaction had brought: they count as
	// acknowledged, and were not sent in this one.
	Resumed int64
	// SHA256 is the payload's digest in hexadecimal, once it is known; Hashing is the CPU
	// time that it took, beside the sending.
	SHA256  string
	Hashing time.Duration
	// Verified says that the server has told the payload to be whole, with that digest.
	Verified bool

	Receivers []ReceiverReport // in the order of the offer, without duplicates

	// Wait, Probe, Transfer and Verdict are the times that the phases took; Elapsed is
	// the whole. Send's set-up is in none of them but Elapsed.
	Wait, Probe, Transfer, Verdict, Elapsed time.Duration
	// Dropped counts the datagrams that changed nothing, by cause.
	Dropped Drops
	// Socket counts what befell the UDP socket; all 0 before the transfer has ended.
	Socket SocketReport
}

// A SocketReport counts what befell datagrams at a socket, between us and the network: losses
// that no network is to blame for.
type SocketReport struct {
	Drops     int64 // came, and found the receive buffer full (socket(7), SO_RXQ_OVFL)
	Truncated int64 // came, and were longer than any datagram may be
	Lost      int64 // were given to a kernel that had no memory for them
	Blocked   int64 // times that the send buffer was full
	Trains    int64 // messages that left with several datagrams (udp(7), UDP_SEGMENT)
}

// Drops counts datagrams that were dropped.
type Drops struct {
	Malformed int64 // no message of the protocol
	Foreign   int64 // from an address that is none of ours
	Unwanted  int64 // a message that does not belong here: another TID, type or phase
	Unsent    int64 // an ack of a segment that this receiver was never sent
	Duplicate int64 // an ack of a segment that was acknowledged already
	// In a sealed transaction: what is not sealed with its keys, and what was there before.
	Unopened, Replayed int64
}

// Total is their sum.
func (d *Drops) Total() int64 {
	return d.Malformed + d.Foreign + d.Unwanted + d.Unsent + d.Duplicate + d.Unopened + d.Replayed
}

// Sent is the number of data datagrams sent, repetitions too.
func (r *Report) Sent() (n int64) {
	for i := range r.Receivers {
		n += r.Receivers[i].Sent
	}
	return n
}

// Resent is the number of repetitions.
func (r *Report) Resent() (n int64) {
	for i := range r.Receivers {
		n += r.Receivers[i].Resent
	}
	return n
}

// Timeouts is the number of retransmission timeouts.
func (r *Report) Timeouts() (n int64) {
	for i := range r.Receivers {
		n += r.Receivers[i].Timeouts
	}
	return n
}

// A ReceiverReport is one receiver's part.
type ReceiverReport struct {
	Addr netip.AddrPort
	Name string // as the offer has it
	// OfferedSegment and OfferedWindow are what it takes of the extended protocol: bytes of a
	// segment, and segments at once; 0 of the base protocol alone.
	OfferedSegment, OfferedWindow int

	Echoes icmp.Stats // what the echoes measured
	// Latency is the weight's base: the mean of the echoes, as the protocol has it,
	// or what stood in for it when none came back (Guessed). 0 if nobody was
	// pinged.
	Latency time.Duration
	Guessed bool

	Share                  int64 // bytes assigned by the split
	Assigned               int64 // segments assigned by the split
	Bytes                  int64 // bytes acknowledged
	Acked                  int64 // segments acknowledged
	Sent, Resent, Timeouts int64 // datagrams, repetitions, retransmission timeouts
	Duplicate              int64 // late or doubled acks
	// Soft counts the errors, of the network or of this host, that were held against what
	// was sent to it and ended nothing, such as EHOSTUNREACH.
	Soft                    int64
	Took, Gave              int64 // segments taken over from, and given to, other receivers
	AckMin, AckMean, AckMax time.Duration
	Rate                    float64 // bytes acknowledged a second, from first datagram to last ack
	Err                     error   // why it is dead, or nil

	// Of the extended protocol: the most bytes that may be in flight, and how many are; the
	// smoothed round trip, 0 before the first; bytes a second that it is sent at most;
	// segments declared lost, and how many of these were not.
	Window, InFlight int64
	RTT              time.Duration
	Pace             float64
	Lost, Spurious   int64
}
