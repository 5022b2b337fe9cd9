package sched

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A bottleneck is a link with a rate and a queue that drops what does not fit, and
// with a delay after it, which acks take as well on their way back.
type bottleneck struct {
	rate   float64 // bytes a second
	trace  []float64
	period time.Duration // of the trace's steps
	queue  float64       // bytes
	delay  time.Duration // one way
	loss   float64       // random, of each packet
	bad    float64       // chance of a burst, of each packet
	burst  float64       // mean length of one
	swap   float64       // chance that a packet is late by a fifth of the delay

	busy    time.Duration // until then it sends
	waiting []packet
	held    int // bytes of these
	inBurst bool
	dropped int64
	carried int64
}

type packet struct {
	sent time.Duration
	size int
}

// wireOverhead is what a segment has around its bytes: its header, UDP's and IP's.
const wireOverhead = 56 + 28

func (b *bottleneck) speed(now time.Duration) float64 {
	if len(b.trace) > 0 {
		return b.trace[min(int(now/b.period), len(b.trace)-1)]
	}
	return b.rate
}

// carry gives the instant at which a packet arrives, or says that it is dropped.
func (b *bottleneck) carry(now time.Duration, size int, rng *rand.Rand) (time.Duration, bool) {
	if b.inBurst {
		b.inBurst = rng.Float64() >= 1/b.burst
	} else if b.bad > 0 {
		b.inBurst = rng.Float64() < b.bad
	}
	if b.inBurst || b.loss > 0 && rng.Float64() < b.loss {
		b.dropped++
		return 0, false
	}
	for len(b.waiting) > 0 && b.waiting[0].sent <= now {
		b.held -= b.waiting[0].size
		b.waiting = b.waiting[1:]
	}
	if b.held > 0 && float64(b.held+size) > b.queue {
		b.dropped++
		return 0, false
	}
	b.carried++
	start := max(b.busy, now)
	b.busy = start + time.Duration(float64(size)/b.speed(start)*1e9)
	b.held += size
	b.waiting = append(b.waiting, packet{b.busy, size})
	late := time.Duration(0)
	if b.swap > 0 && rng.Float64() < b.swap {
		late = b.delay / 5
	}
	return b.busy + b.delay + late, true
}

// A taker is a receiver's side: what NUMs it has, as rising runs.
type taker struct {
	got  []Range
	gone int64 // NUMs in ranges that are forgotten
	told bool  // an ack is on its way to be sent
}

func (r *taker) take(num int64) {
	k := len(r.got)
	for k > 0 && r.got[k-1].First > num {
		k--
	}
	switch {
	case k > 0 && r.got[k-1].Last >= num:
		return
	case k > 0 && r.got[k-1].Last == num-1:
		r.got[k-1].Last = num
		k--
	default:
		r.got = slices.Insert(r.got, k, Range{num, num})
	}
	if k+1 < len(r.got) && r.got[k].Last+1 == r.got[k+1].First {
		r.got[k].Last = r.got[k+1].Last
		r.got = slices.Delete(r.got, k+1, k+2)
	}
	if len(r.got) > 256 {
		r.gone += r.got[0].Last - r.got[0].First + 1
		r.got = slices.Delete(r.got, 0, 1)
	}
}

// count is how many segments are there.
func (r *taker) count() (n int64) {
	for _, x := range r.got {
		n += x.Last - x.First + 1
	}
	return n + r.gone
}

// ack lists the ranges, the largest first, at most 32.
func (r *taker) ack() []Range {
	a := slices.Clone(r.got[max(0, len(r.got)-32):])
	slices.Reverse(a)
	return a
}

type event struct {
	at  time.Duration
	seq int
	do  func(now time.Duration)
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(a, b int) bool {
	return e[a].at < e[b].at || e[a].at == e[b].at && e[a].seq < e[b].seq
}
func (e events) Swap(a, b int) { e[a], e[b] = e[b], e[a] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// A net is the simulation: transfers, each of whose receivers sits behind a
// bottleneck, which several may share.
type net struct {
	t      testing.TB
	q      events
	now    time.Duration
	seq    int
	rng    *rand.Rand
	audit  bool
	flows  []*flow
	ackGap time.Duration // a receiver acknowledges what came within it at once
	slack  time.Duration // a sender's timers are late by up to this
}

type flow struct {
	tr     *Transfer
	links  []*bottleneck
	takers []taker
	wake   time.Duration
	ended  time.Duration
	sent   int64
	lossy  float64 // of acks
	dead   []bool  // receivers that take nothing
	bursts bool    // nothing is paced: it sends as TCP does, as the acks come

	// What an observer knows: which SEQ every NUM carried, and what arrived.
	carried [][]int64
	arrived map[int64]bool
}

func (n *net) after(at time.Duration, do func(time.Duration)) {
	n.seq++
	heap.Push(&n.q, event{at, n.seq, do})
}

func newNet(t testing.TB, seed uint64) *net {
	return &net{t: t, rng: rand.New(rand.NewPCG(seed, 1)), audit: true}
}

// add puts a transfer on the net that begins at an instant.
func (n *net) add(at time.Duration, tr *Transfer, links ...*bottleneck) *flow {
	f := &flow{tr: tr, links: links, takers: make([]taker, len(links)), wake: never,
		dead: make([]bool, len(links)), carried: make([][]int64, len(links)), arrived: map[int64]bool{}}
	n.flows = append(n.flows, f)
	n.after(at, func(now time.Duration) { n.drive(f, now) })
	return f
}

// drive is the driver of a transfer: it sends what may be sent, and sleeps.
func (n *net) drive(f *flow, now time.Duration) {
	t := epoch.Add(now)
	f.tr.Expire(t)
	for {
		if f.bursts {
			f.tr.ext.to[0].pacer.price = 0
		}
		i, seg, num, ok := f.tr.TransmitNum(t)
		if !ok {
			break
		}
		f.sent++
		if n.audit {
			f.observe(n.t, i, seg, num)
		}
		arrives, ok := f.links[i].carry(now, seg.Len+wireOverhead, n.rng)
		if ok {
			n.after(arrives, func(now time.Duration) { n.arrive(f, i, num, now) })
		}
	}
	if n.audit {
		if err := f.tr.Audit(); err != nil {
			n.t.Fatalf("at %v: %v", now, err)
		}
	}
	if f.tr.Done() {
		if f.ended == 0 {
			f.ended = now
		}
		return
	}
	if next, ok := f.tr.Next(); ok {
		at := max(next.Sub(epoch), now)
		if n.slack > 0 {
			at += time.Duration(n.rng.Int64N(int64(n.slack)))
		}
		if f.wake == never || at < f.wake || f.wake <= now {
			f.wake = at
			n.after(at, func(now time.Duration) {
				if f.wake == now {
					f.wake = never
					n.drive(f, now)
				}
			})
		}
	}
}

// observe checks what is sent: NUMs that rise by one, and SEQs at their places.
func (f *flow) observe(t testing.TB, i int, seg Segment, num int64) {
	x := f.tr.ext
	last := min(int64(x.segment), x.size-seg.Off)
	if num != int64(len(f.carried[i])) || seg.Off != seg.Seq*int64(x.segment) || int64(seg.Len) != last || seg.Len < 1 {
		t.Fatalf("receiver %d, transmission %d: %+v", i, len(f.carried[i]), seg)
	}
	f.carried[i] = append(f.carried[i], seg.Seq)
}

// arrive is a segment at its receiver.
func (n *net) arrive(f *flow, i int, num int64, now time.Duration) {
	if f.dead[i] {
		return
	}
	if n.audit {
		f.arrived[f.carried[i][num]] = true
	}
	r := &f.takers[i]
	r.take(num)
	if r.told {
		return
	}
	r.told = true
	n.after(now+n.ackGap, func(now time.Duration) {
		r.told = false
		if f.lossy > 0 && n.rng.Float64() < f.lossy {
			return
		}
		ack := r.ack()
		n.after(now+f.links[i].delay, func(now time.Duration) {
			f.tr.AckRanges(epoch.Add(now), i, ack)
			n.drive(f, now)
		})
	})
}

// run goes on until an instant, or until all transfers are done.
func (n *net) run(until time.Duration) {
	for n.q.Len() > 0 {
		if n.q[0].at > until {
			return
		}
		e := heap.Pop(&n.q).(event)
		n.now = e.at
		e.do(e.at)
		if !slices.ContainsFunc(n.flows, func(f *flow) bool { return f.ended == 0 }) {
			return
		}
	}
}
