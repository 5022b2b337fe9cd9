package mdalp

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"

	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

// A flight is a segment on its way to a receiver.
type flight struct {
	peer int
	seq  int64
}

// A watch is a client session with a model beside it: what is out at each
// receiver, for how long, and what was acknowledged. It drives the session as it
// is driven itself, and after every call it compares the two. The model knows
// nothing but the datagrams that came and went, the split, and RFC 6298.
type watch struct {
	sc           *scenario
	id           int
	cfg          *run
	addr4, addr6 netip.AddrPort
	payload      []byte
	rng          *rand.Rand
	s            *session
	err          error
	names        map[string]netip.Addr // in place of addresses in the offer; nil before it
	asked        netip.Addr            // of the last that was looked up
	found        []netip.Addr          // of those whose answers came in time
	forged       map[flight]bool       // acks of segments that were not out, in a receiver's name
	fooled       bool                  // one of them was out when it arrived

	now      time.Time
	phase    Phase
	progress time.Time // when something last went forward
	intents  int
	asks     bool   // the last asks for a cookie
	cookies  int    // that were given
	given    string // the last of them
	killed   bool   // it was, and another has its port
	failed   int    // the receiver that the network has just reported, or -1
	hints    int    // refusals that quoted too little
	soft     int    // errors of the way to the orchestrator that may pass
	capped   bool   // a timeout may be served late: others take the turns, or time jumps

	to      []model
	place   map[netip.AddrPort]int
	off     []int64 // the first byte of each segment, and the end of the last
	first   []int32 // the receiver that the split gave each segment
	times   []int32 // how often it was sent to that one
	more    map[[2]int64]int32
	owner   []int32 // the receiver at which each segment is out, or -1
	acked   []bool
	left    int64
	bytes   int64
	longest time.Duration // the longest round trip that was measured
	shown   int64         // bytes acknowledged in the last interim report
}

// A model is one receiver as the client must see it.
type model struct {
	addr       netip.AddrPort
	out        bool // segment seq was sent, and neither acknowledged nor taken away
	dead       bool
	seq        int64
	tries      int
	sent, last time.Time // first and last transmission of seq
	due        time.Time // when it times out
	rto        estimator
	deaths     int  // since its last acknowledgement
	heard      bool // it has acknowledged something, perhaps too late
	lost       int  // transmissions of seq that are known to be lost
	judged     bool // an error has spoken of the last of them

	answers int64     // acknowledgements, late ones too
	when    time.Time // of the last that was none
	refused refused

	acked, bytes, samples, datagrams, resent int64
}

func newWatch(sc *scenario, id int, payload []byte) *watch {
	w := &watch{sc: sc, id: id, payload: payload, failed: -1, rng: rand.New(rand.NewPCG(sc.seed, uint64(0xbad+id)))}
	w.addr4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 255, 0, byte(id)}), 5000)
	w.addr6 = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 1, 15: byte(id)}), 5000)
	return w
}

// addr is the client's own address for a peer of that family.
func (w *watch) addr(peer netip.Addr) netip.AddrPort {
	if peer.Is4() {
		return w.addr4
	}
	return w.addr6
}

// config is that of the scenario, for this client.
func (w *watch) config() *run {
	c := w.sc.cfg
	c.key = [32]byte{byte(w.id), byte(w.sc.seed), byte(w.sc.seed >> 8), byte(w.sc.seed >> 16)}
	if w.sc.names {
		c.resolve = func(host string) netip.Addr { w.asked = w.names[host]; return w.asked }
		c.beside = w.beside
	}
	if c.ProgressEvery > 0 {
		c.Progress = w.interim
	}
	return &c
}

// interim checks a report on the way.
func (w *watch) interim(r *Report) {
	if r.Acked < w.shown || r.Phase < w.phase {
		w.fail("a report goes back: %d bytes, then %d", w.shown, r.Acked)
	}
	w.shown = r.Acked
}

// fail keeps the first thing that is wrong.
func (w *watch) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// segment is what segment seq carries, or nil when there is no such segment.
func (w *watch) segment(seq int64) []byte {
	if seq < 0 || seq >= int64(len(w.off))-1 {
		return nil
	}
	return w.payload[w.off[seq]:w.off[seq+1]]
}

// sentTo counts the transmissions of a segment to a receiver.
func (w *watch) sentTo(i int, seq int64, add int32) int32 {
	if w.first[seq] == int32(i) {
		w.times[seq] += add
		return w.times[seq]
	}
	if w.more == nil {
		w.more = map[[2]int64]int32{}
	}
	k := [2]int64{int64(i), seq}
	if add > 0 {
		w.more[k] += add
	}
	return w.more[k]
}

// Receive implements loop.Handler.
func (w *watch) Receive(now time.Time, e *loop.Envelope, b []byte) {
	w.clock(now)
	if w.phase != PhaseSending || e.Sock != sockUDP {
		w.cookie(e, b)
		w.s.Receive(now, e, w.name(e, b))
		w.observe(now)
		return
	}
	m, err := wire.Parse(b)
	i, known := w.place[e.Peer]
	awaited := known && err == nil && m.Type == wire.Ack && m.TID == w.s.tid && w.to[i].out && m.Seq == w.to[i].seq
	if known && err == nil && m.Type == wire.Ack && m.TID == w.s.tid && w.segment(m.Seq) != nil && w.sentTo(i, m.Seq, 0) > 0 {
		w.to[i].heard = true
		w.to[i].answers++
	}
	left, drops, timeouts := w.s.sending.transfer.Left(), w.s.report.Dropped.Total(), w.timeouts()
	w.s.Receive(now, e, b)
	if w.timeouts() != timeouts {
		w.fail("%q makes a segment time out, and perhaps its acknowledgement is there", b)
	}
	took := left - w.s.sending.transfer.Left()
	switch {
	case took != 0 && !awaited, took != 1 && awaited:
		w.fail("%q from %v acknowledges %d segments; awaited: %t", b, e.Peer, took, awaited)
	case took+w.s.report.Dropped.Total()-drops != 1:
		w.fail("%q from %v: %d segments acknowledged and %d datagrams dropped", b, e.Peer, took, w.s.report.Dropped.Total()-drops)
	case awaited:
		w.ack(now, i, m.Seq)
	}
	w.observe(now)
}

// ack takes note of an acknowledgement that counts.
func (w *watch) ack(now time.Time, i int, seq int64) {
	d, st := &w.to[i], w.s.sending.transfer.Stats(i)
	if w.acked[seq] {
		w.fail("segment %d is acknowledged twice", seq)
	}
	if !w.sc.lies {
		switch t := w.sc.server.of(w.s.tid); {
		case t != nil && t.has(seq):
		case w.forged[flight{i, seq}]:
			// A forgery of the next segment came just after the true acknowledgement of
			// this one, in the same nanosecond: nobody could tell it from a true one.
			w.fooled = true
		default:
			w.fail("segment %d is acknowledged and nobody stored it", seq)
		}
	}
	w.acked[seq] = true
	w.owner[seq] = -1
	w.left--
	w.bytes += int64(len(w.segment(seq)))
	d.acked++
	d.bytes += int64(len(w.segment(seq)))
	if w.sentTo(i, seq, 0) == 1 {
		d.rto.sample(now.Sub(d.last))
		d.samples++
		w.longest = max(w.longest, now.Sub(d.last))
	} else if !d.rto.forgiven {
		d.rto.forgiven, d.rto.expired = true, 0
	}
	d.out, d.deaths, d.heard, d.when = false, 0, true, now
	w.progress = now
	switch {
	case st.Samples != d.samples:
		w.fail("receiver %d: %d round trips are measured, %d can be (Karn)", i, st.Samples, d.samples)
	case st.Acked != d.acked || st.Bytes != d.bytes || w.s.sending.transfer.Left() != w.left:
		w.fail("receiver %d: %d segments of %d bytes are acknowledged, %d are left; counted are %d, %d, %d", i, d.acked, d.bytes, w.left, st.Acked, st.Bytes, w.s.sending.transfer.Left())
	}
}

// Fail implements loop.Handler.
func (w *watch) Fail(now time.Time, e *loop.Envelope, err error) {
	w.clock(now)
	if i, ok := w.place[e.Peer]; ok && w.phase == PhaseSending && e.Sock == sockUDP {
		w.judge(now, i, e, err)
	}
	if w.phase == PhaseWaiting && e.Peer == w.cfg.Orchestrator {
		w.soft++
	}
	w.s.Fail(now, e, err)
	w.observe(now)
	if i := w.failed; i >= 0 && !w.to[i].dead {
		w.fail("receiver %d lives on after %v", i, err)
	}
	w.failed = -1
}

// judge takes note of what an error says of the segment that is out: a refusal that quotes
// it may end its receiver, and else brings its timeout forward, as one does that quotes too
// little. Another that is about it tells that it is lost.
func (w *watch) judge(now time.Time, i int, e *loop.Envelope, err error) {
	d := &w.to[i]
	if !d.out || d.dead {
		return
	}
	refusal := e.Remote && (err == syscall.ECONNREFUSED || err == syscall.ENOPROTOOPT || err == syscall.EPROTO)
	header := fmt.Appendf(nil, "Type:2;TID:%d;SEQ:%d;", w.s.tid, d.seq)
	quoted := bytes.HasPrefix(e.Quote, header)
	switch short := !quoted && bytes.HasPrefix(header, e.Quote); {
	case refusal && quoted && w.ends(now, i):
		w.failed = i
		return
	case refusal && (quoted || short) && !d.judged && now.Before(d.due) && d.tries < w.most(d):
		d.due = later(now, d.last.Add(d.rto.rto()/4))
		w.hints++
	case !refusal && (quoted || !e.Remote) && !d.judged && !now.After(d.last.Add(d.rto.rto())):
		if d.lost++; now.Before(d.due) {
			d.due = d.last.Add(w.wait(d))
		}
	default:
		return
	}
	d.judged = true
}

// most is how often a receiver may be sent one segment: three times before it has ever
// acknowledged anything, not counting what is known to be lost.
func (w *watch) most(d *model) int {
	if d.heard {
		return w.cfg.Tries
	}
	return min(w.cfg.Tries, 3+d.lost)
}

// wait is how long the last transmission is waited for; where it is the last that
// a receiver gets before its first acknowledgement, as long as all tries would take.
func (w *watch) wait(d *model) (sum time.Duration) {
	sum = d.rto.rto()
	if d.tries < w.most(d) {
		return sum
	}
	rto := d.rto
	for range min(w.cfg.Tries, 1000) - d.tries {
		rto.expired++
		sum += rto.rto()
	}
	return sum
}

// timeouts is how many segments have timed out.
func (w *watch) timeouts() (n int64) {
	for i := range w.to {
		n += w.s.sending.transfer.Stats(i).Timeouts
	}
	return n
}

// Expire implements loop.Handler.
func (w *watch) Expire(now time.Time) {
	w.clock(now)
	w.s.Expire(now)
	w.observe(now)
}

// Transmit implements loop.Handler.
func (w *watch) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	w.clock(now)
	out, ok := w.s.Transmit(now, e, b)
	if !ok {
		w.observe(now)
		return out, ok
	}
	switch {
	case w.phase == PhaseWaiting:
		w.intent(now, e, out)
		w.seduce(now)
	case w.phase == PhaseSending:
		w.data(now, e, out)
	case e.Sock == sockUDP:
		w.fail("while %v it sends %q", w.phase, out)
	}
	w.observe(now)
	return out, ok
}

// cookie takes note of a cookie that was asked for.
func (w *watch) cookie(e *loop.Envelope, b []byte) {
	m, err := wire.Parse(b)
	if err != nil || m.Type != wire.Offer || m.TID != wire.Absent || e.Peer != w.cfg.Orchestrator || !w.asks {
		return
	}
	if c, ok := wire.ParseCookie(m.Data); ok {
		w.given, w.asks = c, false
		w.cookies++
	}
}

// intent checks an intent: when it is sent, and that nothing but a repetition has a cookie, which asks
// for one or is the one that was given.
func (w *watch) intent(now time.Time, e *loop.Envelope, b []byte) {
	w.intents++
	most := 1 + w.soft + w.cookies
	if w.cfg.IntentRetry > 0 {
		most += int(now.Sub(w.s.began) / w.cfg.IntentRetry)
	}
	text := string(b)
	asks := w.cfg.IntentRetry > 0 && text == "Type:0;DATA:{'cookie': '"+cmp.Or(w.given, wire.NoCookie)+"'};"
	if text != "Type:0;" && (!asks || w.intents == 1) || text == "Type:0;" && w.given != "" ||
		e.Peer != w.cfg.Orchestrator || w.intents > most {
		w.fail("intent %d of %d is %q to %v", w.intents, most, b, e.Peer)
	}
	w.asks = asks
}

// data checks a segment that is sent.
func (w *watch) data(now time.Time, e *loop.Envelope, b []byte) {
	m, err := wire.Parse(b)
	i, known := w.place[e.Peer]
	want := append(strconv.AppendInt(append(strconv.AppendInt([]byte("Type:2;TID:"), w.s.tid, 10), ";SEQ:"...), m.Seq, 10), ";DATA:"...)
	want = append(want, w.segment(m.Seq)...)
	if err != nil || !known || w.segment(m.Seq) == nil || !bytes.Equal(b, want) {
		w.fail("it sends %q to %v instead of %q", b, e.Peer, want)
		return
	}
	d := &w.to[i]
	switch {
	case w.acked[m.Seq]:
		w.fail("segment %d is sent after its acknowledgement", m.Seq)
	case d.dead:
		w.fail("segment %d is sent to receiver %d, which is dead", m.Seq, i)
	case w.owner[m.Seq] >= 0 && int(w.owner[m.Seq]) != i:
		w.fail("segment %d is sent to receiver %d and is out at %d", m.Seq, i, w.owner[m.Seq])
	case w.s.cfg.NoFailover && w.s.cfg.Balance != BalanceAdaptive && w.first[m.Seq] != int32(i):
		w.fail("segment %d of receiver %d is sent to %d, without failover", m.Seq, w.first[m.Seq], i)
	case d.out && m.Seq != d.seq:
		w.fail("receiver %d gets segment %d while %d is out", i, m.Seq, d.seq)
	case d.out && now.Before(d.due.Add(-slack)):
		w.fail("receiver %d gets segment %d again %v before its timeout", i, m.Seq, d.due.Sub(now))
	case d.out && now.After(d.due.Add(sched.Tick+slack)) && !w.capped:
		w.fail("receiver %d gets segment %d again %v after its timeout", i, m.Seq, now.Sub(d.due))
	case d.out && d.tries >= w.most(d):
		w.fail("receiver %d gets segment %d more than %d times", i, m.Seq, d.tries)
	}
	if d.out {
		d.tries++
		d.resent++
		d.rto.expired++
	} else {
		d.tries, d.sent, d.lost = 1, now, 0
	}
	d.judged = false
	d.out, d.seq, d.last = true, m.Seq, now
	d.datagrams++
	d.due = now.Add(w.wait(d))
	w.owner[m.Seq] = int32(i)
	w.sentTo(i, m.Seq, 1)
	w.inject(now, i, m.Seq)
}

// Next implements loop.Handler.
func (w *watch) Next() (time.Time, bool) { return w.s.Next() }

// clock checks that time does not run backwards.
func (w *watch) clock(now time.Time) {
	if now.Before(w.now) {
		w.fail("time goes back by %v", w.now.Sub(now))
	}
	w.now = now
}

// observe compares the session with the model, after every call.
func (w *watch) observe(now time.Time) {
	if w.s.phase != w.phase {
		if w.s.phase < w.phase {
			w.fail("phase %v comes after %v", w.s.phase, w.phase)
		}
		w.phase, w.progress = w.s.phase, now
	}
	if w.to == nil && w.s.sending.transfer != nil {
		w.begin()
	}
	if w.to == nil || w.err != nil {
		return
	}
	if err := w.s.sending.transfer.Audit(); err != nil && !*seedBlind {
		w.fail("audit: %w", err)
	}
	out := 0 // segments that take room in the receive buffer
	for i := range w.to {
		d, err := &w.to[i], w.s.sending.transfer.Stats(i).Err
		if d.out && !d.dead && now.Before(d.due) {
			out++
		}
		switch {
		case err != nil && !d.dead:
			w.bury(now, i, err)
		case err == nil && d.dead: // an acknowledgement came late
			d.dead, d.out = false, false
			if w.owner[d.seq] == int32(i) {
				w.owner[d.seq] = -1
			}
			for j := range w.to { // what the other dead could not hand on is its now
				w.to[j].out = w.to[j].out && (!w.to[j].dead || w.s.cfg.NoFailover || w.s.cfg.Balance == BalanceNone)
			}
			w.progress = now
		case d.out && !d.dead && now.After(d.due.Add(sched.Tick+slack)) && !w.capped && w.phase == PhaseSending:
			w.fail("receiver %d: segment %d timed out %v ago and nothing happened", i, d.seq, now.Sub(d.due))
		}
	}
	if w.s.bufferAcks > 0 && out > w.s.bufferAcks {
		w.fail("%d segments are out, the receive buffer takes %d acks", out, w.s.bufferAcks)
	}
}

// bury checks that a receiver died for a reason, and of which.
func (w *watch) bury(now time.Time, i int, err error) {
	d := &w.to[i]
	d.dead, w.progress = true, now
	if d.deaths++; d.deaths > 2 {
		w.fail("receiver %d dies again and again", i)
	}
	var refused *PeerError
	switch {
	case errors.As(err, &refused):
		if w.failed != i || refused.Peer != d.addr {
			w.fail("receiver %d is dead: %v, but the network did not say so", i, err)
		}
	case !errors.Is(err, sched.ErrTries):
		w.fail("receiver %d is dead: %v", i, err)
	case !d.out || d.tries != w.most(d) || now.Before(d.due.Add(-slack)):
		w.fail("receiver %d is dead after %d of %d tries, %v after the last", i, d.tries, w.cfg.Tries, now.Sub(d.last))
	}
	if d.out && w.owner[d.seq] == int32(i) {
		w.owner[d.seq] = -1
	}
	// With failover the segment is somebody else's now: an ack of it is late.
	if !w.s.cfg.NoFailover && w.s.cfg.Balance != BalanceNone && w.s.sending.transfer.Living() > 0 {
		d.out = false
	}
}

// begin takes the split, and from it what each segment must be.
func (w *watch) begin() {
	w.capped = w.capped || w.sc.buffer > 0 && w.s.bufferAcks < len(w.s.peers)
	w.place = map[netip.AddrPort]int{}
	w.to = make([]model, len(w.s.peers))
	var off, least int64
	if w.cfg.Balance == BalanceLatency || w.cfg.Balance == BalanceAdaptive {
		least = sched.MinShare(int64(len(w.payload)), len(w.to))
	}
	for i, p := range w.s.peers {
		w.to[i].addr, w.to[i].rto.fixed = p.addr, time.Duration(w.cfg.RTO)
		w.place[p.addr] = i
		share := w.s.report.Receivers[i].Share
		if share < least || w.sc.world != nil && !slices.Contains(w.sc.receivers, p.addr) {
			w.fail("receiver %d, %v, gets %d bytes", i, p.addr, share)
		}
		for end := off + share; off < end; off = min(off+100, end) {
			w.off = append(w.off, off)
			w.first = append(w.first, int32(i))
		}
	}
	for _, a := range w.found {
		if !slices.ContainsFunc(w.s.peers, func(p peer) bool { return p.addr.Addr() == a }) {
			w.fail("%v was found in time and is left out", a)
		}
	}
	w.left = int64(len(w.off))
	w.off = append(w.off, off)
	if off != int64(len(w.payload)) || w.left != w.s.sending.transfer.Total() {
		w.fail("the split covers %d of %d bytes in %d segments, of %d", off, len(w.payload), w.s.sending.transfer.Total(), w.left)
		w.off = nil
	}
	w.acked = make([]bool, w.left)
	w.times = make([]int32, w.left)
	w.owner = make([]int32, w.left)
	for k := range w.owner {
		w.owner[k] = -1
	}
	if w.sc.world == nil {
		return
	}
	t := w.sc.server.of(w.s.tid)
	if t != nil && t.segments == 0 && t.client != nil && t.client.addr4 == w.addr4 {
		t.client = w // it was meant for the one that had this port before
	}
	if t == nil || t.client != w {
		w.fail("it takes transaction %d, which nobody offered to it", w.s.tid)
	}
}
