package sched

import (
	"testing"
	"time"
)

const (
	ms   = time.Millisecond
	mbit = 1e6 / 8 // bytes a second
)

// single is a transfer of size bytes to one receiver.
func single(size int64, win int, ping time.Duration) *Transfer {
	const segment = 1388
	return NewExtended(epoch, size, segment, []ExtendedReceiver{{Window: win, Latency: ping}}, ExtendedConfig{})
}

// TestGoodput sends for some seconds through bottlenecks. What TCP CUBIC reaches on the
// same link is a share of what the link carries, of which it can have 96.5 % (1,448 of
// 1,500 bytes), and a segment here 94.3: the rest is headers. So the shares are compared
// by what of their packets the link is used for. Repeats are as many as drops.
func TestGoodput(t *testing.T) {
	for _, c := range []struct {
		name  string
		link  bottleneck
		least float64
	}{
		{"100m 80ms", bottleneck{rate: 100 * mbit, queue: 1e6, delay: 40 * ms}, .919},
		{"20m 200ms", bottleneck{rate: 20 * mbit, queue: 500e3, delay: 100 * ms}, .869},
		{"10m 40ms tiny", bottleneck{rate: 10 * mbit, queue: 7500, delay: 20 * ms}, .814},
		{"1g 2ms", bottleneck{rate: 1000 * mbit, queue: 250e3, delay: ms}, .9},
		{"100m 20ms loss", bottleneck{rate: 100 * mbit, queue: 250e3, delay: 10 * ms, loss: .001}, .236},
		{"100m 20ms burst", bottleneck{rate: 100 * mbit, queue: 250e3, delay: 10 * ms, bad: .0017 / 3.3, burst: 3.3}, .416},
		{"trace", bottleneck{trace: []float64{50 * mbit, 10 * mbit, 50 * mbit, 5 * mbit, 50 * mbit}, period: 5 * time.Second, queue: 125e3, delay: 10 * ms}, .952},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sum, runs float64 // of luck, the mean counts
			for seed := range uint64(3) {
				if seed > 0 && c.link.loss == 0 && c.link.bad == 0 {
					break // nothing is left to chance
				}
				n := newNet(t, seed)
				n.audit = false
				link := c.link
				tr := single(1<<40, 1<<16, 2*link.delay)
				f := n.add(0, tr, &link)
				span := 10 * time.Second
				if link.rate > 200*mbit {
					span = 2 * time.Second // it is many segments
				}
				can := link.rate * span.Seconds()
				if len(link.trace) > 0 {
					span, can = time.Duration(len(link.trace))*link.period, 0
					for _, r := range link.trace {
						can += r * link.period.Seconds()
					}
				}
				n.run(span)
				st := tr.Stats(0)
				share := float64(f.takers[0].count()*1388) / can
				t.Logf("%.1f %% of the link, TCP %.1f; sent %d, repeats %d, lost %d, spurious %d, dropped %d, PTOs %d, rtt %v",
					100*share, 100*c.least, f.sent, st.Resent, st.Lost, st.Spurious, link.dropped, st.Timeouts, tr.Flow(0).RTT)
				sum, runs = sum+share, runs+1
				if float64(st.Resent) > 1.1*float64(link.dropped) {
					t.Errorf("%d repeats for %d drops", st.Resent, link.dropped)
				}
				if err := tr.Audit(); err != nil {
					t.Error(err)
				}
			}
			if use, tcp := sum/runs*(1388+wireOverhead)/1388, c.least*1500/1448; use < tcp {
				t.Errorf("the link is used for %.1f %%, by TCP for %.1f", 100*use, 100*tcp)
			}
		})
	}
}

// TestFair sends two transfers through one bottleneck. Neither may starve the other, be
// the other one paced or not, as TCP is.
func TestFair(t *testing.T) {
	for _, c := range []struct {
		name string
		link bottleneck
	}{
		{"20m 200ms", bottleneck{rate: 20 * mbit, queue: 500e3, delay: 100 * ms}},
		{"100m 20ms loss", bottleneck{rate: 100 * mbit, queue: 250e3, delay: 10 * ms, loss: .001}},
		{"100m 80ms", bottleneck{rate: 100 * mbit, queue: 1e6, delay: 40 * ms}},
	} {
		for _, bursts := range []bool{false, true} {
			n := newNet(t, 1)
			n.audit, n.slack = false, 200*time.Microsecond
			link := c.link
			a := n.add(0, single(1<<40, 1<<16, 2*link.delay), &link)
			b := n.add(50*ms, single(1<<40, 1<<16, 2*link.delay), &link)
			b.bursts = bursts
			n.run(20 * time.Second)
			x, y := float64(a.takers[0].count()), float64(b.takers[0].count())
			t.Logf("%s, bursts %t: %.1f and %.1f %% of the link", c.name, bursts, 100*x*1388/link.rate/20, 100*y*1388/link.rate/20)
			if share := x / (x + y); share < .35 || share > .65 {
				t.Errorf("%s, bursts %t: the first has %.1f %% of the two", c.name, bursts, 100*share)
			}
		}
	}
}

// TestTogether sends to receivers of very different rates. They carry what the sum of
// their links carries, and end together.
func TestTogether(t *testing.T) {
	const segment = 1388
	n := newNet(t, 1)
	n.audit = false
	links := []*bottleneck{
		{rate: 100 * mbit, queue: 500e3, delay: 20 * ms},
		{rate: 20 * mbit, queue: 100e3, delay: 20 * ms},
		{rate: 5 * mbit, queue: 25e3, delay: 20 * ms},
	}
	var r []ExtendedReceiver
	size := int64(125 * mbit * 10 * .94)
	total := ceilDiv(size, segment)
	for range links {
		r = append(r, ExtendedReceiver{Window: 1 << 16, Latency: 40 * ms, Share: total / 3})
	}
	tr := NewExtended(epoch, size, segment, r, ExtendedConfig{})
	f := n.add(0, tr, links...)
	n.run(time.Minute)
	if !tr.Done() {
		t.Fatal("not done")
	}
	used := float64(size) / f.ended.Seconds() / (125 * mbit)
	t.Logf("%.1f %% of the links in %v; backups %d", 100*used, f.ended, tr.ext.backups)
	if use := used * (segment + wireOverhead) / segment; use < .95 {
		t.Errorf("the links are used for %.1f %%", 100*use)
	}
	for i := range links {
		st := tr.Stats(i)
		if early := f.ended - st.Last.Sub(epoch); early > f.ended/20 {
			t.Errorf("receiver %d ends %v before the last", i, early)
		}
		t.Logf("%d: %d bytes, took %d, gave %d, lost %d, ended at %v, rate %.1f Mbit/s", i, st.Bytes, st.Took, st.Gave, st.Lost, st.Last.Sub(epoch), tr.Flow(i).Rate*8e-6)
	}
}
