// Package trace finds the transactions in a capture: who asked whom, what was offered,
// which segments went where and how often, and when they were acknowledged.
//
// A capture may begin late, end early, or hold what others said. So nothing is needed but
// datagrams that parse: a transaction whose offer is missing is known by its TID and its
// client, and its receivers by what was sent to them.
//
// Times come from the host that captured. A capture made at the client tells ack
// delays as the client saw them; one made at a receiver shows the receiver's own. Where
// the clock of the capture was set back, all behind that is moved on by as much, so that
// times can be subtracted. What has no time, as in simple packet blocks, counts all the
// same.
//
// Memory does not grow with what was sent, but for what is listed below with a bound.
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
	// and do not parse, or lack a number that they must have; Cut those that the capture
	// has too little of; Echoes the ICMP echoes and their answers; Copies the datagrams
	// that the capture holds once more, because they passed several interfaces; Foreign
	// all other UDP datagrams and ICMP messages.
	Messages, Malformed, Cut, Echoes, Copies, Foreign int64
	// SetBack counts how often the clock was set back, by Back in all.
	SetBack int64
	Back    time.Duration

	Unanswered   []Intent       // intents without an offer, in the order of the capture
	Transactions []*Transaction // in the order of their beginnings
}

// An Intent is a request that no offer in the capture answers.
type Intent struct {
	At                   time.Time
	Client, Orchestrator netip.AddrPort
	Times                int // it was sent
	// Key is the ID of the key with which it was sealed, or "". Known says that a key of
	// [Keys] did so, and Waits counts the answers that said to wait.
	Key   string
	Known bool
	Waits int
	count int64
}

// A Transaction is one payload on its way, as far as the capture shows it.
type Transaction struct {
	TID          int64
	Client       netip.AddrPort
	Orchestrator netip.AddrPort // the zero value if neither intent nor offer is there

	// Intent, Offer, Begin and End are the instants of the intent, the offer, the first
	// segment and the last segment or fresh ack; the zero Time if they are not there, or
	// have no time.
	Intent, Offer, Begin, End time.Time
	Intents, Offers           int
	BadOffer                  error // why the offer's list cannot be read, or nil
	// CutOffer says that the capture has only the beginning of the offer, which may name
	// more receivers than are known.
	CutOffer bool

	Receivers []*Receiver // in the order of the offer, then of appearance
	Segments  int64       // distinct sequence numbers that were sent
	Acked     int64       // of them
	Bytes     int64       // of the segments
	Datagrams int64       // with segments, sent again or not
	Moved     int64       // segments that were sent to more than one receiver
	// Missing lists sequence numbers sent and not acknowledged, Unseen those between 0
	// and the greatest that were never sent in the capture.
	Missing, Unseen []wire.Range

	// Sealed says that all but the headers was sealed (PROTOCOL.md, "Sealed transactions"),
	// Opened that it could be opened. Where it could not, an acknowledgement shows the number
	// that it ends with alone, and no word of the orchestrator is known. Key and Known are
	// the intent's. Unopened counts what the keys that open the rest do not open.
	Sealed, Opened bool
	Key            string
	Known          bool
	Unopened       int64
	// Extended says that segments had numbers of their own (PROTOCOL.md, part 2). What
	// follows is of extended transactions alone.
	Extended bool
	// Announced is the instant of the first manifest; Size, Unit, Name and Resume are what
	// it says: the bytes of the payload and of a segment, a name, and the transaction that is
	// resumed, or [wire.Absent]. Both counts are of datagrams; Asked counts the manifests that
	// ask for the verdict.
	Announced                time.Time
	Size, Unit, Resume       int64
	Name                     string
	Manifests, States, Asked int
	// Standing is the orchestrator's last word, and Reports are the changes of it, at most
	// 64.
	Standing wire.Standing
	Reports  []Report
	// Slot is how long a [Slot] of the receivers is; the first begins at Begin.
	Slot time.Duration

	byAddr map[netip.AddrPort]*Receiver
	opener *opener
	// Sequence numbers, whoever got them: a segment that was moved has several receivers,
	// and is to count once.
	sent, acked, moved set
	held               set // as the orchestrator said
	slotted            int // receivers that have slots
	// The numbers of the datagrams, in the order of the capture, with which it began, with
	// which it was offered, and of its first segment; 0 if they are not there.
	first, offered, begun int64
}

// A Receiver is one receiver's part of a transaction.
type Receiver struct {
	Addr    netip.AddrPort
	Name    string // as the offer has it
	Offered bool   // the offer names it

	// Echoes are the round trips that answered an echo, in their order; EchoesSent
	// counts all echoes, and Answered those with an answer, also where the capture does not
	// tell how long it took.
	Echoes               []time.Duration
	EchoesSent, Answered int

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
	// AckedBytes are the bytes of the segments that it acknowledged.
	AckedBytes int64
	// Seg and Win are what the offer says: the most bytes of a segment, and segments in
	// flight; 0 if it does not.
	Seg, Win int
	// Of extended transactions: Acks counts the ack messages, Doubled the datagrams that
	// came once more with a number that is never used twice, and Unseen the numbers that are
	// not in the capture.
	Acks, Doubled, Unseen int64
	// Flight is the most segments that were out at once, and Slots what went on when.
	Flight int64
	Slots  []Slot
	// Delays are from the transmission that an ack belongs to until the ack, by sequence
	// number. Of very many they are a part, evenly over the transfer. An ack that the
	// capture has before its segment has no delay.
	Delays []Delay
	// Untimed lists segments that were acknowledged without a delay, at most 65,536.
	Untimed []int64

	spread digest // of all delays
	thin   thinner
	// What was sent to it and what it acknowledged, by sequence number.
	sent, acked set
	// What is out, by sequence number, and in the order it was first sent.
	open  map[int64]*shot
	queue []int64
	// Acknowledged after it was sent more than once: at the end it shows which transmission
	// that was.
	doubtful []*shot
	floor    time.Duration // the least delay that is beyond doubt
	// Acks whose segments have not been seen.
	early early
	// Of extended transactions: what is out, by rising numbers; the numbers that were sent,
	// the greatest of them and the greatest that was acknowledged; the first range of the
	// last ack; and how often segments were sent again.
	flight       []out
	nums         set
	top, largest int64
	told         wire.Range
	tried        map[int64]int
}

// A Delay is how long a segment took to be acknowledged.
type Delay struct {
	Seq  int64
	Sent time.Time // the transmission that the ack belongs to
	Took time.Duration
	Try  int // which transmission it was, from 1
}

// Again is the number of datagrams that repeated a segment.
func (r *Receiver) Again() int64 { return r.Datagrams - r.Segments - r.Doubled }

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
// capture holds may have been sent. Of an extended transaction the orchestrator's word
// counts, and else the size that was announced.
// A sealed one that could not be opened does not show it.
func (t *Transaction) Complete() bool {
	if t.Sealed && !t.Opened {
		return false
	}
	switch t.Standing {
	case wire.Complete:
		return true
	case wire.Damaged, wire.Refused, wire.Incomplete:
		return false
	}
	return t.Segments > 0 && t.Acked == t.Segments && len(t.Unseen) == 0
}

// Wait, Probe and Took are the phases: from the intent to the offer, from there to the
// first segment, and from that to the end. ok is false where an instant is not known.
func (t *Transaction) Wait() (d time.Duration, ok bool) { return between(t.Intent, t.Offer) }

// Probe is documented at [Transaction.Wait].
func (t *Transaction) Probe() (d time.Duration, ok bool) { return between(t.Offer, t.Begin) }

// Took is documented at [Transaction.Wait].
func (t *Transaction) Took() (d time.Duration, ok bool) { return between(t.Begin, t.End) }

// shot is a segment that was sent to one receiver.
type shot struct {
	seq   int64
	bytes int64
	sent  time.Time
	again []time.Time // more transmissions, at most maxTries
	acked time.Time
}
