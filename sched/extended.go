package sched

import (
	"errors"
	"time"
)

// ErrSilent says that a receiver is dead because it acknowledged nothing for several
// probes in a row and some seconds.
var ErrSilent = errors.New("it has fallen silent")

const (
	// MaxWindow is the most segments that a receiver may ask for as its window.
	MaxWindow = 1 << 20

	deadProbes = 3               // probe timeouts in a row, and
	deadAfter  = 5 * time.Second // as long without an ack: then a receiver is dead

	// firstTries is how many transmissions a receiver gets before it acknowledges anything,
	// the last of them as a probe: whoever named it may aim at somebody else.
	firstTries = 3

	// doubtful is how many probe timeouts in a row make others take copies.
	doubtful = 2

	// A receiver's turn lasts for a train: segments in a row to one place leave in one
	// message, of at most so many bytes, headers and all, and so many segments. One
	// segment more would be a message of its own, for the price of a whole train.
	trainBytes    = 65507 // a datagram over IPv4 (RFC 768)
	trainSegments = 64    // UDP_MAX_SEGMENTS of udp(7), on most kernels

	// backupShare of the segments may be sent as second copies at the end.
	backupShare = 100

	// What nobody has begun is drawn from the front of the payload, in blocks: so the whole
	// of it comes about in order, and who hashes it in order has little left at the end. A
	// block is what a receiver carries in blockTime, at most blockBytes and at least a train:
	// a slow one holds nobody up for long, and a quick one has long runs to read.
	blockTime  = 100 * time.Millisecond
	blockBytes = 4 << 20
)

// An ExtendedReceiver is one receiver of an extended transfer.
type ExtendedReceiver struct {
	Window  int           // most segments it takes unacknowledged, 1 to MaxWindow
	Latency time.Duration // its mean ping, 0 if there is none
	Share   int64         // segments it is to carry; the sum is the payload's
}

// ExtendedConfig says how an extended transfer behaves. Its zero value works.
type ExtendedConfig struct {
	// Window, if not 0, is the most segments in flight at a receiver, beside what the
	// receiver itself and congestion allow.
	Window int
	// Fixed makes Window the congestion window itself: nothing yields to loss. It is
	// for a window of 1, and for experiments on networks of one's own.
	Fixed bool
	// Rate, if not 0, is the most bytes a second over all receivers, counted with
	// Overhead bytes for each segment's headers.
	Rate     float64
	Overhead int
	// NoFailover leaves the segments of a dead receiver undelivered.
	NoFailover bool
	// Static leaves every receiver its share while it lives.
	Static bool
}

// An extended is the part of a Transfer that is there for extended transactions. It
// stands beside the base protocol's and does not replace it: a flight of one under a
// fixed controller would do what stop-and-wait does, but a ring, a ledger and a pacer
// for one segment cost more instructions than the whole of today's segment.
type extended struct {
	cfg     ExtendedConfig
	epoch   time.Time
	size    int64 // bytes
	segment int   // bytes
	total   int64 // segments
	left    int64 // of these, not delivered
	had     int64 // delivered by have, less what was taken back
	back    int64 // bytes that were taken back
	living  int

	to      []lane
	cur     int  // whose turn it is
	turn    int  // segments left of it
	train   int  // segments of a turn
	probing bool // somebody may wait for a probe
	cap     pacer
	ledger  ledger
	orphans runs  // to be sent again, by anybody: what the dead had out
	unowned runs  // never sent, and nobody lives to send it
	pool    runs  // never sent, and in nobody's block yet
	open    int64 // segments of the pool that nobody lives to take
	backups int64
	gen     uint64 // grows when there may be work for who has none
	unsent  int64  // segments that were never sent, and are not known to be stored
}

// NewExtended lays out a payload of size bytes in segments of so many bytes: SEQ k is
// the bytes from k·segment on, whichever receiver it goes to. The shares must add up
// to the number of segments; what they lack or have too much is the last receiver's.
func NewExtended(epoch time.Time, size int64, segment int, receivers []ExtendedReceiver,
	cfg ExtendedConfig) *Transfer {
	x := &extended{
		cfg: cfg, epoch: epoch, size: size, segment: segment, total: ceilDiv(size, int64(segment)),
		to: make([]lane, len(receivers)), living: len(receivers), gen: 1,
		ledger: ledger{held: make(map[int64]holding, leastRing)},
	}
	x.left, x.unsent = x.total, x.total
	x.train = min(max(trainBytes/(segment+cfg.Overhead), 1), trainSegments)
	x.turn = x.train
	if cfg.Rate > 0 {
		x.cap.rate(0, cfg.Rate/1e9, segment+cfg.Overhead)
	}
	x.pool.push(0, x.total)
	rest := x.total
	for i, r := range receivers {
		l := &x.to[i]
		window, fixed := min(max(r.Window, 1), MaxFlight), 0
		if cfg.Window > 0 {
			window = min(window, cfg.Window)
		}
		if cfg.Fixed {
			fixed = window
		}
		*l = lane{
			flight: newFlight(), recovery: newRecovery(max(FirstRTT, r.Latency)),
			control: newController(segment, fixed), window: window, copied: -1, fullIn: -1,
		}
		if r.Latency > 0 { // the first window goes out over a round trip of the network
			l.pacer.rate(0, l.control.gain()*float64(l.control.window())/float64(r.Latency), segment)
		}
		if l.claim = min(max(0, r.Share), rest); i == len(receivers)-1 {
			l.claim = rest
		}
		rest -= l.claim
		l.stats.Assigned = l.claim
		x.draw(l, int64(x.train))
	}
	return &Transfer{epoch: epoch, segment: int64(segment), total: x.total, ext: x}
}

// length is how many bytes a segment carries.
func (x *extended) length(seq int64) int {
	return int(min(int64(x.segment), x.size-seq*int64(x.segment)))
}

// transmit gives the next segment to send. A receiver's turn lasts until it may send no
// more, or a train is full.
func (x *extended) transmit(now time.Duration) (receiver int, seg Segment, num int64, ok bool) {
	if x.left == 0 {
		return 0, Segment{}, 0, false
	}
	if x.probing {
		if i, seq, flags, ok := x.overdue(now); ok {
			seg, num = x.send(now, &x.to[i], seq, flags)
			return i, seg, num, true
		}
	}
	for range len(x.to) + 1 {
		i := x.cur
		if l := &x.to[i]; x.turn > 0 && x.may(l, now) {
			if seq, flags, ok := x.pick(now, i); ok {
				seg, num = x.send(now, l, seq, flags)
				return i, seg, num, true
			}
			l.dry, l.roundCut = x.gen, true
		}
		if x.cur++; x.cur == len(x.to) {
			x.cur = 0
		}
		x.turn = x.train
	}
	return 0, Segment{}, 0, false
}

// overdue gives the segment of a receiver that waits for a probe. Probes go first: where a
// cap holds all up, they would wait for the trains of all others.
func (x *extended) overdue(now time.Duration) (i int, seq int64, flags uint8, ok bool) {
	x.probing = false
	for i := range x.to {
		l := &x.to[i]
		if l.probes == 0 || l.dead() {
			continue
		}
		if !x.may(l, now) {
			x.probing = x.probing || !l.stuck && l.dry != x.gen // the cap holds it up
			continue
		}
		if seq, flags, ok = x.pick(now, i); ok {
			x.probing = true
			return i, seq, flags, true
		}
		l.dry, l.roundCut = x.gen, true
	}
	return 0, 0, 0, false
}

// may reports whether receiver l may send a segment now.
func (x *extended) may(l *lane, now time.Duration) bool {
	switch {
	case l.stuck || l.dry == x.gen || l.dead():
		return false
	case l.tried():
		l.stuck = true
		return false
	case l.probes > 0:
		return x.cap.may(now, x.segment+x.cfg.Overhead)
	case l.flight.out >= l.window || l.flight.full():
		l.stuck = true
		return false
	case l.flight.bytes+int64(x.segment) > l.control.window():
		l.stuck, l.fullIn = true, l.rounds
		return false
	}
	return l.pacer.may(now, x.segment) && x.cap.may(now, x.segment+x.cfg.Overhead)
}

// send puts a segment in flight, under the next NUM.
func (x *extended) send(now time.Duration, l *lane, seq int64, flags uint8) (seg Segment, num int64) {
	size := x.length(seq)
	if l.flight.out == 0 && l.recovery.backoff == 0 {
		l.heard = max(l.heard, now)
	}
	num = l.flight.push(now, seq, size, flags)
	l.recovery.lastSent = now
	l.pacer.spend(now, size)
	x.cap.spend(now, size+x.cfg.Overhead)
	x.turn--
	l.copied = -1
	if l.probes > 0 {
		l.probes--
		l.checked.probes++
		l.pacer.debt = 0 // no pacer holds a probe back
	}
	seg = Segment{Seq: seq, Off: seq * int64(x.segment), Len: size, Try: 1}
	if flags&isShared != 0 {
		seg.Try = 2
		l.stats.Resent++
	}
	if l.stats.Sent++; l.stats.Sent == 1 {
		l.stats.First = x.epoch.Add(now)
	}
	return seg, num
}

// next reports when expire or transmit is to be called.
func (x *extended) next() (at time.Duration, ok bool) {
	at = never
	sooner := func(t time.Duration) {
		if at == never || t < at {
			at = t
		}
	}
	for i := range x.to {
		l := &x.to[i]
		if l.dead() {
			continue
		}
		if t, _ := l.recovery.due(&l.flight); t != never {
			sooner(t)
		}
		// It may send and waits for the pacer or the cap.
		if x.left > 0 && !l.stuck && l.dry != x.gen {
			var t time.Duration
			if l.pacer.wait && l.probes == 0 {
				t = l.pacer.until
			}
			if x.cap.wait {
				t = max(t, x.cap.until)
			}
			sooner(t)
		}
	}
	return at, at != never
}

// done is Transfer.Done.
func (x *extended) done() bool {
	if x.left == 0 || x.living == 0 {
		return true
	}
	if !x.cfg.NoFailover {
		return false
	}
	for i := range x.to {
		if l := &x.to[i]; !l.dead() && (l.flight.out > 0 || l.unsent() > 0) {
			return false
		}
	}
	return true
}
