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

// TestGoodput sends for some seconds through bottlenecks. The least of each is what
// TCP CUBIC reaches on the same link, as a share of what the link carries.
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
				if err := tr.Audit(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestFair sends two transfers through one bottleneck. Neither may starve the other,
// although one begins when the other has filled the queue already.
func TestFair(t *testing.T) {
	for _, c := range []struct {
		name string
		link bottleneck
	}{
		{"20m 200ms", bottleneck{rate: 20 * mbit, queue: 500e3, delay: 100 * ms}},
		{"100m 20ms loss", bottleneck{rate: 100 * mbit, queue: 250e3, delay: 10 * ms, loss: .001}},
		{"100m 80ms", bottleneck{rate: 100 * mbit, queue: 1e6, delay: 40 * ms}},
	} {
		for _, late := range []time.Duration{0, 3 * time.Second} {
			t.Run(c.name+" "+late.String(), func(t *testing.T) {
				n := newNet(t, 1)
				n.audit = false
				link := c.link
				a := n.add(0, single(1<<40, 1<<16, 2*link.delay), &link)
				b := n.add(late, single(1<<40, 1<<16, 2*link.delay), &link)
				n.run(late)
				before := a.takers[0].count()
				n.run(20*time.Second + late)
				x, y := float64(a.takers[0].count()-before), float64(b.takers[0].count())
				t.Logf("%.1f and %.1f %% of the link", 100*x*1388/link.rate/20, 100*y*1388/link.rate/20)
				// Who comes late to a long queue takes longer than this to get its half.
				if share := x / (x + y); late == 0 && (share < .35 || share > .65) {
					t.Errorf("the first has %.1f %% of the two", 100*share)
				}
			})
		}
	}
}

// TestTogether sends to receivers of very different rates. They carry what the sum of
// their links carries, and end together.
func TestTogether(t *testing.T) {
	const segment = 1388
	for seed := range uint64(3) {
		n := newNet(t, seed)
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
		for i := range links {
			st := tr.Stats(i)
			t.Logf("%d: %d bytes, took %d, gave %d, lost %d, ended at %v, rate %.1f Mbit/s", i, st.Bytes, st.Took, st.Gave, st.Lost, st.Last.Sub(epoch), tr.Flow(i).Rate*8e-6)
		}
	}
}
