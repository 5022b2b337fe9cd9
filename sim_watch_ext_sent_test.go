package mdalp

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

// Transmit implements loop.Handler.
func (w *bulkWatch) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	w.clock(now)
	out, ok := w.s.Transmit(now, e, b)
	w.observe(now)
	if !ok || e.Sock != sockUDP {
		return out, ok
	}
	m, err := wire.Parse(out)
	switch {
	case err != nil:
		w.fail("it sends %q", out)
	case m.Type == wire.Intent:
		if w.intents++; w.phase != PhaseWaiting || e.Peer != w.cfg.Orchestrator {
			w.fail("while %v it sends %q to %v", w.phase, out, e.Peer)
		}
		if w.anew > 0 && w.rng.IntN(2) == 0 { // a copy that is late
			w.throw(now, w.cfg.Orchestrator, w.offer)
		}
	case m.Type == wire.ManifestType:
		w.manifest(now, e, &m, out)
	case m.Type == wire.Data && m.Num == wire.Absent:
		w.plain(e, &m, out)
	case m.Type == wire.Data:
		w.data(now, e, &m, out)
	default:
		w.fail("it sends %q", out)
	}
	return out, ok
}

// manifest checks one that is sent: its number, that it says the same of the payload as
// those before, and that nobody is asked more often than every second.
func (w *bulkWatch) manifest(now time.Time, e *loop.Envelope, m *wire.Message, b []byte) {
	p, refusal, err := wire.ParseManifest(m.Data)
	n := len(w.manifests)
	var before wire.Manifest
	if n > 0 {
		before = w.manifests[n-1]
	}
	switch {
	case err != nil || refusal != "" || len(b) > wire.MaxManifest:
		w.fail("it sends %q: %s", b, refusal)
	case e.Peer != w.cfg.Orchestrator || m.TID != w.s.tid || m.Seq != int64(n):
		w.fail("manifest %d is %q to %v", n, b, e.Peer)
	case p.Bytes != int64(len(w.payload)) || n > 0 && p.Seg != before.Seg:
		w.fail("manifest %d says %d bytes in segments of %d", n, p.Bytes, p.Seg)
	case p.Seg > int64(w.sc.server.cfg.Segment) && p.Seg > wire.MinSegment:
		w.fail("segments are %d bytes, a receiver takes %d", p.Seg, w.sc.server.cfg.Segment)
	case m.TID == w.gave:
		w.fail("transaction %d was given up, and is announced again", m.TID)
	case w.base:
		w.fail("a manifest comes after a segment of the base protocol")
	case w.unanswered > 0 && p.SHA256 == before.SHA256 && p.From == before.From && now.Sub(w.asked) < askFirst && (w.lanes == nil || w.unanswered > 2):
		w.fail("manifest %d comes %v after the one before, and nothing was answered", n, now.Sub(w.asked))
	case w.lanes == nil && w.unanswered >= announcements:
		w.fail("manifest %d, and none of the %d before was answered", n, w.unanswered)
	case p.SHA256 != "" && w.cfg.NoVerify:
		w.fail("the verdict is asked for")
	}
	w.tid = m.TID
	w.manifests = append(w.manifests, p)
	w.asked = now
	w.unanswered++
	if w.phase == PhaseFinishing || w.lanes == nil {
		w.progress = now
	}
	w.forgeStates(now, int64(n))
}

// plain checks a segment of the base protocol, of which the other swarm knows all: here
// it must only be right to speak it.
func (w *bulkWatch) plain(e *loop.Envelope, m *wire.Message, b []byte) {
	if w.lanes != nil || w.unanswered != announcements && w.answers == 0 && len(w.manifests) > 0 && w.phase == PhaseSending {
		w.fail("after %d manifests, %d of them without an answer, it sends %q to %v", len(w.manifests), w.unanswered, b, e.Peer)
	}
	w.base, w.tid = true, m.TID
}

// data checks a segment that is sent.
func (w *bulkWatch) data(now time.Time, e *loop.Envelope, m *wire.Message, b []byte) {
	i, known := w.place[e.Peer]
	if w.lanes == nil || !known || m.TID != w.tid || w.segment(m.Seq) == nil || !bytes.Equal(m.Data, w.segment(m.Seq)) {
		w.fail("it sends %.80q to %v, which is not SEQ %d of transaction %d", b, e.Peer, m.Seq, w.tid)
		return
	}
	d, st, f := &w.lanes[i], w.s.blocks.transfer.Stats(i), w.s.blocks.transfer.Flow(i)
	if m.Num != int64(len(d.shots)) {
		w.fail("receiver %d gets NUM %d, %d is the next", i, m.Num, len(d.shots))
		return
	}
	most := d.win
	if w.cfg.Window > 0 {
		most = min(most, w.cfg.Window)
	}
	out := w.out(now, d)
	if out >= most && d.probes > 0 { // what is probed is out no more
		w.expel(d)
		out--
	}
	switch {
	case st.Err != nil:
		w.fail("SEQ %d is sent to receiver %d, which is dead", m.Seq, i)
	case out >= most:
		w.fail("receiver %d gets NUM %d with %d segments out: it takes %d", i, m.Num, out, most)
	case w.delivered[m.Seq] && d.probes == 0:
		w.fail("SEQ %d is sent to receiver %d, and is acknowledged", m.Seq, i)
	}
	if d.strange() {
		w.fail("receiver %d has said nothing yet, and gets its transmission number %d", i, len(d.shots)+1)
	}
	draws := d.probes > 0 && w.again > 0
	d.probes = max(0, d.probes-1)
	// A burst to one receiver: 10 segments, or 1 ms of its rate, and a probe.
	size := int64(len(m.Data))
	if !d.burstAt.Equal(now) {
		d.burstAt, d.burst = now, 0
	}
	if d.burst += size; float64(d.burst) > max(10*float64(w.seg), f.Pace/1000)+float64(w.seg) {
		w.fail("receiver %d gets %d bytes at once, paced at %.0f bytes a second", i, d.burst, f.Pace)
	}
	w.pay(now, size)
	d.shots = append(d.shots, shot{seq: m.Seq, at: now, draws: draws})
	d.last, w.sent, d.owed = now, now, false
	w.forgeAcks(now, i, m.Num)
}

// strange reports whether a receiver has acknowledged nothing and may get no more.
func (d *lane) strange() bool { return d.answers == 0 && len(d.shots)-d.astray >= 3 }

// out is how many segments are in flight at least.
func (w *bulkWatch) out(now time.Time, d *lane) (n int) {
	for k := d.low; k < len(d.shots); k++ {
		if s := &d.shots[k]; !s.acked && !s.gone {
			if s.gone = int64(k) < d.largest && now.Sub(s.at) >= d.rtt.threshold(); !s.gone {
				n++
			}
		}
	}
	return n
}

// expel takes the oldest out of the flight.
func (w *bulkWatch) expel(d *lane) {
	for k := d.low; k < len(d.shots); k++ {
		if s := &d.shots[k]; !s.acked && !s.gone {
			s.gone = true
			return
		}
	}
}

// pay holds what is sent against the capped rate, with the headers that each segment has at
// least: no more than a burst is ever ahead of it.
func (w *bulkWatch) pay(now time.Time, size int64) {
	if w.cfg.Rate == 0 {
		return
	}
	at := now.Sub(sim.Epoch)
	cost := func(bytes int64) time.Duration { return time.Duration(float64(bytes) / float64(w.cfg.Rate) * 1e9) }
	w.spent = max(w.spent, at) + cost(size)
	if ahead := w.spent - at; ahead > max(time.Millisecond, cost(10*(w.seg+100)))+slack {
		w.fail("%v are sent ahead of the capped rate", ahead)
	}
}

// observe compares the session with the model, after every call.
func (w *bulkWatch) observe(now time.Time) {
	if w.s.phase != w.phase {
		back := w.s.phase < w.phase && (w.phase != PhaseFinishing || w.s.phase != PhaseSending)
		if back && w.s.phase == PhaseWaiting { // with smaller segments
			if w.s.resume != nil { // the server has closed the transaction
				if w.told != wire.Refused {
					w.fail("it asks for another transaction, and was told %v", w.told)
				}
			} else if w.anew++; w.seg <= safeSegment || w.anew > 1 {
				w.fail("it begins anew with segments of %d bytes", w.seg)
			}
			w.reset(now)
		} else if back {
			w.fail("phase %v comes after %v", w.s.phase, w.phase)
		}
		w.phase, w.progress = w.s.phase, now
	}
	if w.lanes == nil && w.s.blocks.transfer != nil {
		w.begin(now)
	}
	if w.lanes == nil || w.err != nil {
		return
	}
	x := w.s.blocks.transfer
	if err := x.Audit(); err != nil && !*seedBlind {
		w.fail("audit: %w", err)
	}
	if w.left != x.Left() {
		w.fail("%d segments are left, counted are %d", w.left, x.Left())
	}
	for i := range w.lanes {
		d, st := &w.lanes[i], x.Stats(i)
		if st.Timeouts != d.timeouts {
			if d.owed && d.answers > 0 {
				w.fail("receiver %d has another timeout, and its probe has not left", i)
			}
			d.owed = true
			d.probes += st.Timeouts - d.timeouts
			d.silent += st.Timeouts - d.timeouts
			d.timeouts, d.last = st.Timeouts, now
		}
		dead := st.Err != nil
		if dead && !d.dead {
			for k := range d.shots {
				d.shots[k].gone = true
			}
			w.progress = now
			// One that has had its tries, and is not waited for since all was delivered by
			// others, is of no use to what was taken back.
			spent := w.again > 0 && d.answers == 0 && len(d.shots)-d.astray >= 2
			if errors.Is(st.Err, sched.ErrSilent) && !spent && (d.silent < 3 || now.Sub(d.heard) < 5*time.Second) {
				w.fail("receiver %d is dead after %d probe timeouts and %v", i, d.silent, now.Sub(d.heard))
			}
		}
		d.dead = dead
	}
}

// begin takes the receivers of an extended transfer, and how large its segments are.
func (w *bulkWatch) begin(now time.Time) {
	x := w.s.blocks.transfer
	w.seg, w.place = int64(w.s.report.Segment), map[netip.AddrPort]int{}
	if w.answers == 0 || len(w.manifests) == 0 || w.manifests[0].Seg != w.seg {
		w.fail("it sends segments of %d bytes, and %d announcements are answered", w.seg, w.answers)
	}
	for i, p := range w.s.peers {
		if !slices.Contains(w.sc.receivers, p.addr) {
			w.fail("receiver %v is none", p.addr)
		}
		win := p.win
		if w.s.dialog.open.Window > 0 {
			win = w.s.dialog.open.Window
		}
		w.lanes = append(w.lanes, lane{addr: p.addr, win: win, largest: -1, last: now, heard: now,
			rtt: trip{smoothed: float64(max(sched.FirstRTT, w.s.report.Receivers[i].Latency)), variance: float64(max(sched.FirstRTT, w.s.report.Receivers[i].Latency)) / 2}})
		w.place[p.addr] = i
	}
	total := (int64(len(w.payload))-1)/w.seg + 1
	w.delivered, w.left = make([]bool, total), total
	for _, r := range w.held { // an earlier transaction had brought it
		for seq := r.First; seq <= r.Last; seq++ {
			if seq >= total || w.delivered[seq] {
				w.fail("SEQ %d is told twice, or none: %v", seq, w.held)
				return
			}
			w.delivered[seq] = true
			w.left--
		}
	}
	if x.Total() != total || x.Left() != w.left {
		w.fail("%d segments, %d of them left; the payload has %d, and %d are to be sent", x.Total(), x.Left(), total, w.left)
	}
}

// stalled checks that something goes forward. Waiting and pinging have a bound each; while
// segments are out at a receiver that lives, one is sent, acknowledged or timed out within a
// probe timeout; while the verdict is awaited, somebody asks or answers.
func (w *bulkWatch) stalled(now time.Time) {
	if w.phase == PhaseFinished || w.err != nil || w.s == nil {
		return
	}
	bound := w.sc.still + 2*w.sc.late + sched.Tick
	switch w.phase {
	case PhaseWaiting:
		bound += w.cfg.IntentTimeout
	case PhasePinging:
		bound += w.cfg.EchoTimeout + 15*time.Second
	case PhaseFinishing:
		bound += 2*wire.MaxWait*time.Millisecond + 3*w.sc.trip
	case PhaseSending:
		if w.lanes == nil {
			return // the base protocol's
		}
		w.idle(now)
		return
	}
	if now.Sub(w.progress) > bound {
		w.fail("nothing goes forward for %v while %v", now.Sub(w.progress), w.phase)
	}
}

// idle checks that no receiver is left waiting.
func (w *bulkWatch) idle(now time.Time) {
	most, living, turns := time.Duration(0), false, time.Duration(0)
	if w.cfg.Rate > 0 { // a burst, and a probe to everybody, go first
		turns = time.Duration(float64(len(w.lanes)+10) * float64(w.seg+100) / float64(w.cfg.Rate) * 1e9)
	}
	for i := range w.lanes {
		d := &w.lanes[i]
		if d.dead {
			continue
		}
		living = true
		bound := max(d.rtt.pto(), d.rtt.threshold(), time.Second) + w.sc.still + slack + turns
		if d.answers == 0 { // it may have got its three, and is waited for
			bound += 5 * time.Second
		}
		most = max(most, bound)
		if w.left > 0 && now.Sub(d.last) > bound && w.out(now, d) > 0 {
			w.fail("receiver %d: segments are out, and nothing happens for %v; the probe timeout is %v", i, now.Sub(d.last), d.rtt.pto())
		}
	}
	if last := later(w.sent, w.progress); w.left > 0 && living && now.Sub(last) > 4*most {
		w.fail("nothing is sent for %v", now.Sub(last))
	}
}
