package mdalp

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/wire"
)

// A bulkWatch is a client session with a model beside it, as watch is for the base
// protocol. The model knows the datagrams that came and went, and RFC 9002's round trip and
// probe timeout. What is in flight it knows from below: what is neither acknowledged nor
// may be given up by now.
type bulkWatch struct {
	sc           *bulk
	id           int
	cfg          *run
	addr4, addr6 netip.AddrPort
	payload      []byte
	rng          *rand.Rand
	s            *session
	node         *sim.Node
	err          error
	late         bool // it stands still at times: timeouts are served late

	now      time.Time
	phase    Phase
	progress time.Time // when something last went forward
	intents  int
	tid      int64
	anew     int    // how often it began anew
	gave     int64  // the transaction that it gave up for that
	offer    []byte // the last that came

	// What was asked of the orchestrator.
	manifests  []wire.Manifest
	asked      time.Time // the last was sent
	answers    int       // states that were taken
	newest     int64     // the highest of them
	told       wire.Standing
	unanswered int // manifests since the last answer
	base       bool

	lanes     []lane
	place     map[netip.AddrPort]int
	seg       int64
	delivered []bool
	left      int64
	again     int64        // SEQs that were taken back
	held      []wire.Range // told to be there when the payload was announced
	sent      time.Time
	spent     time.Duration // the instant, since Epoch, at which all that was sent is paid at the capped rate
	shown     int64
}

// A lane is one receiver of the model.
type lane struct {
	addr     netip.AddrPort
	win      int
	shots    []shot
	low      int   // below it nothing is in flight
	largest  int64 // NUM acknowledged
	rtt      trip
	timeouts int64 // that were seen
	silent   int64 // of these, since its last new ack
	heard    time.Time
	probes   int64 // that may still be sent
	owed     bool  // one has not left, and nothing was heard since that would do without it
	last     time.Time
	dead     bool
	answers  int64     // acks that were taken for new
	when     time.Time // of the last
	waits    int64     // timeouts until then
	refused  refused
	burstAt  time.Time
	burst    int64 // bytes sent at that instant
	astray   int   // errors that may mean that a transmission did not arrive
}

// A shot is one transmission, NUM is its place.
type shot struct {
	seq   int64
	at    time.Time
	acked bool
	void  bool // its SEQ was taken back since
	gone  bool // it may have been given up
	draws bool // it was to draw an ack of what was taken back, and counts for nothing perhaps
}

// A trip estimates round trips as RFC 9002, section 5.3, in floating point.
type trip struct {
	latest, smoothed, variance, most float64
	known                            bool
	doubt                            bool // a sample may be none: it was of what is forgotten
}

func (t *trip) sample(d time.Duration) {
	x := max(float64(d), 1)
	t.latest, t.most = x, max(x, t.most)
	if !t.known {
		t.known, t.smoothed, t.variance = true, x, x/2
		return
	}
	t.variance = 0.75*t.variance + 0.25*max(t.smoothed-x, x-t.smoothed)
	t.smoothed = 0.875*t.smoothed + 0.125*x
}

// pto is the most that a probe timeout may be before its back-off.
func (t *trip) pto() time.Duration {
	d := max(10*time.Millisecond, time.Duration(t.smoothed+max(4*t.variance, 1e6)))
	if t.doubt {
		d = max(d, time.Duration(5*max(t.most, 333e6)))
	}
	return d
}

// threshold is the least after which what was overtaken may be called lost.
func (t *trip) threshold() time.Duration {
	if t.doubt {
		return 0
	}
	return time.Duration(1.125*max(t.latest, t.smoothed)) - slack
}

func newBulkWatch(sc *bulk, id int, payload []byte) *bulkWatch {
	return &bulkWatch{sc: sc, id: id, payload: payload, rng: rand.New(rand.NewPCG(sc.seed, uint64(0xbad+id))),
		addr4: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 255, 0, byte(id)}), 5000),
		addr6: netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 1, 15: byte(id)}), 5000)}
}

// own is the client's own address for a peer of that family.
func (w *bulkWatch) own(peer netip.Addr) netip.Addr {
	if peer.Is4() {
		return w.addr4.Addr()
	}
	return w.addr6.Addr()
}

// add lets a client start.
func (sc *bulk) add(w *bulkWatch) {
	sc.paths(w)
	c := sc.cfg
	c.key = [32]byte{byte(w.id), byte(sc.seed), byte(sc.seed >> 8), byte(sc.seed >> 16)}
	if c.ProgressEvery > 0 {
		c.Progress = w.interim
	}
	if sc.route > 0 {
		c.mtu = func(netip.Addr) int { return sc.route }
		near := sc.rng.IntN(2) == 0
		c.ours = func(netip.Addr) bool { return near }
	}
	if sc.late > 0 {
		c.beside = w.beside
	}
	conf, err := c.withDefaults()
	if err != nil {
		panic(err)
	}
	var src io.ReaderAt = bytes.NewReader(w.payload)
	if sc.reader > 0 {
		src = &unreliable{src, sc.reader, rand.New(rand.NewPCG(sc.seed, 7))}
	}
	w.cfg = conf
	sc.clients = append(sc.clients, w)
	w.reset(sim.Epoch)
	w.s = newSession(sim.Epoch, src, int64(len(w.payload)), conf, sc.mode, sc.mode, 0)
	w.node = sc.world.Add(fmt.Sprint("client ", w.id), w,
		sim.Socket{Addrs: []netip.AddrPort{w.addr4, w.addr6}},
		sim.Socket{Addrs: []netip.AddrPort{netip.AddrPortFrom(w.addr4.Addr(), 0)}, ICMP: true},
		sim.Socket{Addrs: []netip.AddrPort{netip.AddrPortFrom(w.addr6.Addr(), 0)}, ICMP: true})
	sc.nodes = append(sc.nodes, w.node)
	w.observe(sim.Epoch)
}

// reset forgets all of a transaction.
func (w *bulkWatch) reset(now time.Time) {
	w.manifests, w.newest, w.answers, w.unanswered, w.told = nil, -1, 0, 0, wire.Unknown
	w.held = nil
	w.lanes, w.place, w.delivered, w.left, w.again, w.shown = nil, nil, nil, 0, 0, 0
	w.progress, w.sent, w.spent = now, now, 0
	w.gave, w.tid = w.tid, 0
}

// beside does a job after a time that is drawn; its answer comes after another.
func (w *bulkWatch) beside(job func() func(now time.Time)) {
	after := func() time.Duration {
		return w.now.Sub(sim.Epoch) + time.Duration(w.rng.Int64N(int64(w.sc.late)))
	}
	w.sc.world.At(after(), func(now time.Time) {
		back := job()
		w.sc.world.At(now.Sub(sim.Epoch)+time.Duration(w.rng.Int64N(int64(w.sc.late))), func(time.Time) {
			w.node.Post(func(now time.Time) {
				w.clock(now)
				w.progress = now
				back(now)
				w.observe(now)
			})
		})
	})
}

// interim checks a report on the way.
func (w *bulkWatch) interim(r *Report) {
	if r.Acked > int64(len(w.payload)) || r.Acked < w.shown && w.again == 0 && w.anew == 0 && r.Phase == w.phase {
		w.fail("a report goes back: %d bytes, then %d of %d", w.shown, r.Acked, len(w.payload))
	}
	w.shown = r.Acked
}

// fail keeps the first thing that is wrong.
func (w *bulkWatch) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// clock checks that time does not run backwards.
func (w *bulkWatch) clock(now time.Time) {
	if now.Before(w.now) {
		w.fail("time goes back by %v", w.now.Sub(now))
	}
	w.now = now
}

// segment is what SEQ carries, nil when there is no such segment.
func (w *bulkWatch) segment(seq int64) []byte {
	if seq < 0 || w.seg == 0 || seq*w.seg >= int64(len(w.payload)) {
		return nil
	}
	return w.payload[seq*w.seg : min((seq+1)*w.seg, int64(len(w.payload)))]
}

// Receive implements loop.Handler.
func (w *bulkWatch) Receive(now time.Time, e *loop.Envelope, b []byte) {
	w.clock(now)
	m, err := wire.Parse(b)
	switch {
	case e.Sock != sockUDP || err != nil:
		w.s.Receive(now, e, b)
	case m.Type == wire.Offer && w.phase == PhaseWaiting && e.Peer == w.cfg.Orchestrator:
		w.offer = bytes.Clone(b)
		w.s.Receive(now, e, b)
	case m.Type == wire.StateType:
		w.state(now, e, &m, b)
	case m.Type == wire.Ack && w.lanes != nil:
		w.ack(now, e, &m, b)
	default:
		w.s.Receive(now, e, b)
	}
	w.observe(now)
}

// ack takes what comes as an acknowledgement, and says what it must change.
func (w *bulkWatch) ack(now time.Time, e *loop.Envelope, m *wire.Message, b []byte) {
	i, known := w.place[e.Peer]
	ranges, err := wire.ParseAckRanges(m, nil)
	good := known && err == nil && m.TID == w.tid && m.Seq >= 0 && m.Num >= 0 && w.s.phase != PhaseFinished
	for _, r := range ranges {
		good = good && r.Last < int64(len(w.lanes[i].shots))
	}
	left, drops := w.s.blocks.transfer.Left(), w.s.report.Dropped.Total()
	var newly int
	var unsure []int64
	if good {
		newly, unsure = w.acked(now, &w.lanes[i], ranges)
	}
	w.s.Receive(now, e, b)
	drops = w.s.report.Dropped.Total() - drops
	after := w.s.blocks.transfer.Left()
	if good && drops == 0 {
		d := &w.lanes[i]
		d.answers, d.when, d.waits, d.owed = d.answers+1, now, d.timeouts, false
	}
	switch {
	case w.s.phase == PhaseFinished:
	case !good && (after != left || drops != 1):
		w.fail("%q from %v changes %d segments and is dropped %d times", b, e.Peer, left-after, drops)
	// Once all is delivered nobody waits for copies that are out.
	case good && newly > 0 && len(unsure) == 0 && drops > 0 && left > 0:
		w.fail("%q from %v is dropped, and acknowledges %d transmissions", b, e.Peer, newly)
	case good && newly == 0 && drops != 1:
		w.fail("%q from %v says nothing new and is dropped %d times", b, e.Peer, drops)
	}
	// What was given up long ago is forgotten, perhaps: both is right.
	if len(unsure) > 0 {
		open := map[int64]bool{}
		for _, r := range w.s.blocks.transfer.Missing() {
			for seq := r.Seq; seq < r.End; seq++ {
				open[seq] = true
			}
		}
		for _, seq := range unsure {
			if !open[seq] && !w.delivered[seq] {
				w.delivered[seq] = true
				w.left--
			}
		}
	}
	if w.left != after && w.s.phase != PhaseFinished {
		w.fail("%q from %v: %d segments are left, counted are %d", b, e.Peer, w.left, after)
	}
}

// acked takes an acknowledgement that is none of a liar: newly is how many transmissions it
// tells that were not known; unsure are the SEQs of those that may be forgotten.
func (w *bulkWatch) acked(now time.Time, d *lane, ranges []wire.Range) (newly int, unsure []int64) {
	largest := ranges[0].Last
	if s := &d.shots[largest]; !s.acked {
		d.rtt.doubt = d.rtt.doubt || w.old(now, d, largest)
		d.rtt.sample(now.Sub(s.at))
	}
	for _, r := range ranges {
		for num := r.First; num <= r.Last; num++ {
			s := &d.shots[num]
			if s.acked {
				continue
			}
			newly++
			old := s.draws || w.old(now, d, num)
			s.acked = true
			switch {
			case s.void || w.delivered[s.seq]:
				if old {
					unsure = append(unsure, s.seq)
				}
			case old:
				unsure = append(unsure, s.seq)
			default:
				w.delivered[s.seq] = true
				w.left--
			}
		}
	}
	d.largest = max(d.largest, largest)
	for num := d.low; num <= int(d.largest); num++ {
		s := &d.shots[num]
		s.gone = s.gone || int64(num)+3 <= d.largest || now.Sub(s.at) >= d.rtt.threshold()
	}
	for d.low < len(d.shots) && (d.shots[d.low].acked || d.shots[d.low].gone) {
		d.low++
	}
	if w.progress = now; newly > len(unsure) {
		d.heard, d.silent = now, 0
	}
	return newly, unsure
}

// old reports whether a transmission may be forgotten: given up, and sent long ago. Acks
// that a server in parts has held may come after probes, which give up what no ack passed.
func (w *bulkWatch) old(now time.Time, d *lane, num int64) bool {
	s := &d.shots[num]
	return (s.gone || d.dead || num < d.largest || w.sc.apart != nil) && now.Sub(s.at) >= 25*time.Millisecond
}

// state takes what comes as a state, and says what it may change.
func (w *bulkWatch) state(now time.Time, e *loop.Envelope, m *wire.Message, b []byte) {
	st, err := wire.ParseState(m.Data)
	good := e.Peer == w.cfg.Orchestrator && err == nil && m.TID == w.tid && m.Seq >= 0 && m.Seq < int64(len(w.manifests)) &&
		m.Seq > w.newest && st.Standing != wire.Unknown && w.s.phase > PhaseWaiting && w.s.phase < PhaseFinished
	if good {
		w.newest, w.told, w.progress = m.Seq, st.Standing, now
		w.answers++
		w.unanswered = 0
	}
	var left int64
	if w.lanes != nil {
		left = w.s.blocks.transfer.Left()
	}
	was := w.s.phase
	if good && st.Standing == wire.Open && !w.s.dialog.opened {
		for _, r := range st.Have {
			if n := len(w.held); n == 0 || r.First > w.held[n-1].Last {
				w.held = append(w.held, r)
			}
		}
		if last := len(w.manifests) - 1; st.Upto > max(0, w.manifests[last].From) {
			w.newest = int64(last) // the rest is asked for: what was asked before is answered
		}
	}
	w.s.Receive(now, e, b)
	if w.s.phase == PhaseFinished && was != PhaseFinished && !good {
		w.fail("%q from %v ends it", b, e.Peer)
	}
	if w.lanes == nil || w.s.blocks.transfer == nil {
		return
	}
	more := w.s.blocks.transfer.Left() - left
	if good && st.Standing == wire.Complete && w.s.phase == PhaseFinished {
		w.left = 0 // acknowledged or not
		return
	}
	if more == 0 {
		return
	}
	if !good || st.Standing != wire.Incomplete || w.manifests[m.Seq].SHA256 == "" {
		w.fail("%q from %v lets %d segments be sent again", b, e.Peer, more)
		return
	}
	w.reopen(&st, w.manifests[m.Seq].From, more)
}

// reopen takes back what the server says it lacks.
func (w *bulkWatch) reopen(st *wire.State, from, more int64) {
	upto := int64(len(w.delivered))
	if st.Upto > 0 {
		upto = min(upto, st.Upto)
	}
	stored := func(seq int64) bool {
		for _, r := range st.Have {
			if seq >= r.First && seq <= r.Last {
				return true
			}
		}
		return false
	}
	back := map[int64]bool{}
	for seq := max(0, from); seq < upto; seq++ {
		if w.delivered[seq] && !stored(seq) {
			w.delivered[seq], back[seq] = false, true
		}
	}
	n := int64(len(back))
	w.left += n
	w.again += n
	for i := range w.lanes {
		for k := range w.lanes[i].shots { // their acks may be older than the loss
			s := &w.lanes[i].shots[k]
			s.void = s.void || !s.acked && back[s.seq]
			s.gone = true // nobody may have waited for it when all was delivered
		}
	}
	if n != more {
		w.fail("%d segments are taken back, %d are to be", more, n)
	}
}

// Expire implements loop.Handler.
func (w *bulkWatch) Expire(now time.Time) {
	w.clock(now)
	for i := range w.lanes { // what may be called lost now may not be with the next sample
		w.out(now, &w.lanes[i])
	}
	w.s.Expire(now)
	w.observe(now)
}

// Next implements loop.Handler.
func (w *bulkWatch) Next() (time.Time, bool) { return w.s.Next() }
