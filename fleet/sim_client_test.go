package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"mdalp/loop"
	"mdalp/seal"
	"mdalp/wire"
)

// A simClient sends one payload, by the extended protocol or the base one, and tries the next
// orchestrator when one does not answer. It is simple: a few segments at each receiver, sent
// again after a second.
type simClient struct {
	name    string
	rng     *rand.Rand
	orchs   []netip.AddrPort
	payload []byte
	sum     string
	base    bool
	begin   time.Time
	now     time.Time          // of the last tick
	told    func(c *simClient) // that it is complete
	broken  func() bool        // whether a payload may be damaged
	before  *simClient         // whose payload it sends once more, and resumes
	key     int                // of the fleet's clients; 0 is none
	sealed  *seal.Client       // around it, with a key
	alien   int64              // the transaction that it asks for and that has another key
	hasty   time.Duration      // after which it begins anew, and resumes what it has sent; 0 is never

	// A base one may be slow, and keep to one receiver: drip is how long it waits behind each
	// acknowledgement, and gap how long once, when so many are missing.
	drip, gap time.Duration
	gapAt     int
	hold      time.Time

	at      int // the orchestrator that it speaks to
	tid     int64
	old     int64 // to be resumed, or Absent
	seg     int64
	rs      []netip.AddrPort
	nums    []int64           // by receiver
	out     []map[int64]int64 // NUM to SEQ
	until   []map[int64]time.Time
	silent  []int // tries in a row
	acked   []bool
	left    int
	opened  bool
	seq     int64
	next    time.Time // of an intent or a manifest
	unheard int
	last    time.Time // something was heard of
	moved   time.Time // something new was acknowledged
	asks    bool      // for the verdict
	send    []datagram
	done    bool
	ended   time.Time
	tids    []int64
	// promised is what was acknowledged of each base transaction.
	promised []promise
	fresh    int // transactions begun
	// unanswered says that it gave up a transaction of which it heard nothing any more.
	unanswered bool
	err        error
}

type promise struct {
	tid   int64
	acked []bool
}

type datagram struct {
	to netip.AddrPort
	b  []byte
}

const simTick = 100 * time.Millisecond

func (c *simClient) total() int64 { return (int64(len(c.payload))-1)/c.seg + 1 }

func (c *simClient) data(seq int64) []byte {
	return c.payload[seq*c.seg : min((seq+1)*c.seg, int64(len(c.payload)))]
}

// again has it send what b has sent.
func (c *simClient) again(b *simClient) {
	if !b.base {
		c.before, c.payload, c.sum = b, b.payload, b.sum
	}
}

// restart asks for a new offer.
func (c *simClient) restart(now time.Time) {
	if c.opened {
		c.old = c.tid
	}
	c.tid, c.rs, c.opened, c.asks, c.seq, c.unheard = 0, nil, false, false, 0, 0
	c.next, c.last, c.moved = now, now, now
	if c.sealed != nil { // what was to be sent would be sealed with the next keys
		c.send = nil
	}
}

func (c *simClient) Receive(now time.Time, e *loop.Envelope, b []byte) {
	m, err := wire.Parse(b)
	if err != nil || c.done || now.Before(c.begin) {
		return
	}
	switch m.Type {
	case wire.Offer:
		if c.tid == 0 {
			if c.sealed != nil {
				c.at = slices.Index(c.orchs, e.Peer)
			}
			c.offer(now, &m)
		}
	case wire.StateType:
		if m.TID == c.tid && e.Peer == c.orchs[c.at] && m.Seq == c.seq-1 {
			if st, err := wire.ParseState(m.Data); err == nil {
				c.state(now, &st)
			} else {
				c.err = fmt.Errorf("%s: a state that cannot be read: %q", c.name, b)
			}
		}
	case wire.Ack:
		c.ack(now, e, &m)
	}
}

func (c *simClient) offer(now time.Time, m *wire.Message) {
	rs, err := wire.ParseReceivers(m.Data)
	if _, herr := wire.ParseHandshake(m.Data); err != nil && herr == nil {
		return // of who had its port before
	}
	if err != nil {
		c.err = fmt.Errorf("%s: an offer that cannot be read: %q", c.name, m.Data)
		return
	}
	c.tid, c.rs = m.TID, nil
	c.tids = append(c.tids, c.tid)
	c.fresh++
	for _, r := range rs {
		port := r.Port
		if port == 0 {
			port = 4650
		}
		c.rs = append(c.rs, netip.AddrPortFrom(netip.MustParseAddr(r.Host), port))
	}
	c.seg = 100
	if !c.base {
		if !wire.Extended(rs) {
			c.err = fmt.Errorf("%s: a base offer", c.name)
			return
		}
		c.seg = 700
	}
	c.acked = make([]bool, c.total())
	if c.base {
		c.promised = append(c.promised, promise{c.tid, c.acked})
	}
	c.left = len(c.acked)
	n := len(c.rs)
	c.nums, c.silent = make([]int64, n), make([]int, n)
	c.out, c.until = make([]map[int64]int64, n), make([]map[int64]time.Time, n)
	for i := range n {
		c.out[i], c.until[i] = map[int64]int64{}, map[int64]time.Time{}
	}
	c.opened, c.asks, c.seq, c.unheard = c.base, false, 0, 0
	c.next, c.last, c.moved = now, now, now
}

func (c *simClient) state(now time.Time, st *wire.State) {
	c.unheard, c.last = 0, now
	c.next = now.Add(2 * time.Second)
	switch st.Standing {
	case wire.Open, wire.Incomplete:
		c.opened = true
		c.foreign(st)
		if st.Told && st.Upto == wire.Absent {
			clear(c.acked)
			c.left = len(c.acked)
			for _, r := range st.Have {
				for k := r.First; k <= r.Last && k < int64(len(c.acked)); k++ {
					c.acked[k] = true
					c.left--
				}
			}
		}
		c.asks = false
	case wire.Busy:
		c.next = now.Add(time.Duration(st.Wait) * time.Millisecond)
	case wire.Complete:
		c.done, c.ended = true, now
		c.told(c)
	case wire.Damaged:
		if !c.broken() {
			c.err = fmt.Errorf("%s: transaction %d is damaged", c.name, c.tid)
		}
		c.restart(now.Add(time.Second))
		c.old = wire.Absent
	case wire.Unknown: // nothing of it had come, and it is over
		c.restart(now.Add(time.Second))
	case wire.Refused:
		if st.Resume != wire.Absent && st.Resume != c.tid {
			c.err = fmt.Errorf("%s: resume %d instead of %d", c.name, st.Resume, c.tid)
		}
		c.restart(now.Add(time.Second))
	}
}

func (c *simClient) ack(now time.Time, e *loop.Envelope, m *wire.Message) {
	for i, r := range c.rs {
		if r != e.Peer || m.TID != c.tid {
			continue
		}
		c.silent[i] = 0
		if c.base {
			c.acks(now, i, m.Seq)
			continue
		}
		rs, err := wire.ParseAckRanges(m, nil)
		if err != nil {
			c.err = fmt.Errorf("%s: an acknowledgement that cannot be read: %q", c.name, m.Data)
			return
		}
		for _, x := range rs {
			for k := x.First; k <= x.Last; k++ {
				if seq, ok := c.out[i][k]; ok {
					c.acks(now, i, seq)
					delete(c.out[i], k)
					delete(c.until[i], k)
				}
			}
		}
	}
}

func (c *simClient) acks(now time.Time, i int, seq int64) {
	if c.base {
		delete(c.out[i], seq)
		delete(c.until[i], seq)
	}
	if seq < int64(len(c.acked)) && !c.acked[seq] {
		c.acked[seq] = true
		c.left--
		c.last, c.moved = now, now
	}
	if c.drip > 0 {
		c.hold = now.Add(c.drip)
		if c.left == c.gapAt {
			c.hold, c.gapAt = now.Add(c.gap), -1
		}
	}
	if c.base && c.left == 0 {
		c.done, c.ended = true, now
		c.told(c)
	}
}

func (c *simClient) Fail(time.Time, *loop.Envelope, error) {}

func (c *simClient) Expire(now time.Time) {
	if now.Sub(c.now) < simTick {
		return
	}
	c.now = now
	if c.done || now.Before(c.begin) {
		return
	}
	if c.before != nil {
		if c.old = c.before.tid; c.before.key != c.key {
			c.alien = c.old
		}
		c.before = nil
	}
	if c.hasty > 0 && now.Sub(c.begin) > c.hasty {
		c.hasty = 0
		c.restart(now)
		c.at = c.rng.IntN(len(c.orchs))
	}
	if c.bereft(now) {
		c.restart(now)
	}
	if now.Sub(c.last) > 80*time.Second { // it gives up, and begins anew
		c.unanswered = c.unanswered || !c.base && c.tid != 0
		c.restart(now)
		c.at = (c.at + 1) % len(c.orchs)
	}
	orch := func(b []byte) { c.send = append(c.send, datagram{c.orchs[c.at], b}) }
	switch {
	case now.Before(c.next):
	case c.tid == 0:
		c.next = now.Add(2 * time.Second)
		if c.unheard++; c.unheard%4 == 0 {
			c.at = (c.at + 1) % len(c.orchs)
		}
		orch(wire.AppendIntent(nil))
	case c.base:
	case !c.opened || c.left == 0:
		if c.unheard++; c.unheard%3 == 0 {
			if c.ask(now); c.tid == 0 {
				break
			}
		}
		c.next = now.Add(time.Second)
		m := wire.Manifest{Bytes: int64(len(c.payload)), Seg: c.seg, Name: c.fileName(), Resume: wire.Absent}
		if c.old != wire.Absent && c.seq < 8 {
			m.Resume = c.old
		}
		if c.opened {
			m.SHA256 = c.sum
			m.Resume = wire.Absent
		}
		orch(wire.AppendManifest(nil, c.tid, c.seq, &m))
		c.seq++
	case c.opened && now.Sub(c.last) > 10*time.Second: // nobody acknowledges: what is there?
		c.next = now.Add(time.Second)
		if c.unheard++; c.unheard%3 == 0 {
			if c.ask(now); c.tid == 0 {
				break
			}
		}
		orch(wire.AppendManifest(nil, c.tid, c.seq, &wire.Manifest{Bytes: int64(len(c.payload)), Seg: c.seg, Name: c.fileName(), Resume: wire.Absent}))
		c.seq++
	}
	if c.opened && c.left > 0 {
		c.segments(now)
	}
}

// segments sends what is missing, each to a receiver that is not known to be dead.
func (c *simClient) segments(now time.Time) {
	most := 6
	if c.base {
		most = 1
	}
	if now.Before(c.hold) {
		return
	}
	under := make(map[int64]bool)
	for i := range c.rs {
		for k, at := range c.until[i] {
			if !now.Before(at) {
				delete(c.until[i], k)
				c.silent[i]++
				continue
			}
			under[c.out[i][k]] = true
		}
	}
	i := c.rng.IntN(len(c.rs))
	if c.drip > 0 {
		i = len(c.rs) - 1
	}
	for seq := int64(0); seq < int64(len(c.acked)); seq++ {
		if c.acked[seq] || under[seq] {
			continue
		}
		for range c.rs {
			i = (i + 1) % len(c.rs)
			if len(c.until[i]) < most && (c.silent[i] < 4 || c.rng.IntN(60) == 0) {
				break
			}
		}
		if len(c.until[i]) >= most {
			break
		}
		num := c.nums[i]
		c.nums[i]++
		var b []byte
		if c.base {
			num = seq
			b = wire.AppendData(nil, c.tid, seq, c.data(seq))
		} else {
			b = append(wire.AppendSegmentHeader(nil, c.tid, seq, num, 1, 1), c.data(seq)...)
		}
		c.out[i][num], c.until[i][num] = seq, now.Add(time.Second)
		c.send = append(c.send, datagram{c.rs[i], b})
	}
}

func (c *simClient) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if len(c.send) == 0 {
		return b, false
	}
	d := c.send[0]
	c.send = c.send[1:]
	e.Peer = d.to
	return append(b, d.b...), true
}

func (c *simClient) Next() (time.Time, bool) {
	if c.done {
		return time.Time{}, false
	}
	if c.now.Before(c.begin) {
		return c.begin, true
	}
	return c.now.Add(simTick), true
}

func newSimClient(name string, rng *rand.Rand, orchs []netip.AddrPort, base bool, most int) *simClient {
	c := &simClient{name: name, rng: rng, orchs: orchs, base: base, old: wire.Absent, at: rng.IntN(len(orchs))}
	c.payload = make([]byte, 1+rng.IntN(most))
	for i := range c.payload {
		c.payload[i] = byte(rng.Uint32())
	}
	sum := sha256.Sum256(c.payload)
	c.sum = hex.EncodeToString(sum[:])
	return c
}
