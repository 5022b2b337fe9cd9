// Package trace finds the transactions in a capture: who asked whom, what was offered,
// which segments went where and how often, and when they were acknowledged.
//
// A capture may begin late, end early, or hold what others said. So nothing is needed but
// datagrams that parse: a transaction whose offer is missing is known by its TID and its
// client, and its receivers by what was sent to them.
//
// Times come from the host that captured. A capture made at the client tells ack
// delays as the client saw them; one made at a receiver shows the receiver's own.
package trace

import (
	"net/netip"
	"time"

	"mdalp/internal/pcapng"
	"mdalp/wire"
)

// A Trace is what a capture shows.
type Trace struct {
	Stats pcapng.Stats
	// Messages counts the datagrams of the protocol; Malformed those that begin as one
	// and do not parse; Echoes the ICMP echoes and their answers; Copies the datagrams
	// that the capture holds a second time, because they passed two interfaces.
	Messages, Malformed, Echoes, Copies int64
	Unanswered                          []Intent       // intents without an offer, in the order of time
	Transactions                        []*Transaction // in the order of their beginnings
}

// An Intent is a request that no offer in the capture answers.
type Intent struct {
	At                   time.Time
	Client, Orchestrator netip.AddrPort
	Times                int // it was sent
}

// A Transaction is one payload on its way, as far as the capture shows it.
type Transaction struct {
	TID          int64
	Client       netip.AddrPort
	Orchestrator netip.AddrPort // the zero value if neither intent nor offer is there

	// Intent, Offer, Begin and End are the instants of the intent, the offer, the first
	// segment and the last segment or fresh ack; the zero Time if they are not there.
	Intent, Offer, Begin, End time.Time
	Intents, Offers           int
	BadOffer                  error // why the offer's list cannot be read, or nil

	Receivers []*Receiver // in the order of the offer, then of appearance
	Segments  int64       // distinct sequence numbers that were sent
	Acked     int64       // of them
	Bytes     int64       // of the segments
	Datagrams int64       // with segments, sent again or not
	Moved     int64       // segments that were sent to more than one receiver
	// Missing lists sequence numbers sent and not acknowledged, Unseen those between 0
	// and the greatest that were never sent in the capture.
	Missing, Unseen []wire.Range

	Finishes int
	Verdicts []string // of the orchestrator, as it wrote them

	segments map[int64]*segment
	byAddr   map[netip.AddrPort]*Receiver
}

// A Receiver is one receiver's part of a transaction.
type Receiver struct {
	Addr    netip.AddrPort
	Name    string // as the offer has it
	Offered bool   // the offer names it

	// Echoes are the round trips that answered an echo, in their order; EchoesSent
	// counts all echoes.
	Echoes     []time.Duration
	EchoesSent int

	Segments  int64 // distinct sequence numbers sent to it
	Bytes     int64 // of them
	Datagrams int64 // with segments
	Acked     int64 // segments that it acknowledged
	Duplicate int64 // acks of what it had acknowledged
	Unsent    int64 // acks of what it was never sent in the capture
	// Lost counts segments of which the first transmission, or the ack of it, did not
	// arrive: the ack belongs to a later one.
	Lost        int64
	First, Last time.Time // its first segment, and the last fresh ack
	// Delays are from the transmission that an ack belongs to until the ack, by sequence
	// number.
	Delays []Delay

	// What was sent to it, by sequence number.
	shots map[int64]*shot
	order []int64 // the keys of shots, as they came
	// Those not acknowledged, so that a range in an ack does not have to walk all.
	open map[int64]struct{}
}

// A Delay is how long a segment took to be acknowledged.
type Delay struct {
	Seq  int64
	Sent time.Time // the transmission that the ack belongs to
	Took time.Duration
	Try  int // which transmission it was, from 1
}

// Again is the number of datagrams that repeated a segment.
func (r *Receiver) Again() int64 { return r.Datagrams - r.Segments }

// Again is the number of datagrams that repeated a segment to the same receiver.
func (t *Transaction) Again() (n int64) {
	for _, r := range t.Receivers {
		n += r.Again()
	}
	return n
}

// Lost is the number of first transmissions that were lost.
func (t *Transaction) Lost() (n int64) {
	for _, r := range t.Receivers {
		n += r.Lost
	}
	return n
}

// Duplicate is the number of duplicate acks.
func (t *Transaction) Duplicate() (n int64) {
	for _, r := range t.Receivers {
		n += r.Duplicate
	}
	return n
}

// Complete reports whether the capture shows that everything was acknowledged: every
// sequence number from 0 to the greatest was sent and acknowledged. More than the
// capture holds may have been sent.
func (t *Transaction) Complete() bool {
	return t.Segments > 0 && t.Acked == t.Segments && len(t.Unseen) == 0
}

// segment is a sequence number, whoever got it. It is kept apart from the receivers, as
// a segment that was moved has more than one, and is to count once.
type segment struct {
	bytes int64
	at    int // receivers that got it
	acked bool
}

// shot is a segment that was sent to one receiver.
type shot struct {
	sent  time.Time
	again []time.Time // more transmissions
	acked time.Time
}
