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
				n := newNet(t, seed)
				n.audit = false
				link := c.link
				tr := single(1<<40, 1<<16, 2*link.delay)
				f := n.add(0, tr, &link)
				span, can := 10*time.Second, link.rate*10
				if len(link.trace) > 0 {
					span, can = time.Duration(len(link.trace))*link.period, 0
					for _, r := range link.trace {
						can += r * link.period.Seconds()
					}
				}
				n.run(span)
				st := tr.Stats(0)
				share := float64(st.Bytes) / can
				t.Logf("%.1f %% of the link, TCP %.1f; sent %d, repeats %d, lost %d, spurious %d, dropped %d, PTOs %d, rtt %v",
					100*share, 100*c.least, f.sent, st.Resent, st.Lost, st.Spurious, link.dropped, st.Timeouts, tr.Flow(0).RTT)
				if err := tr.Audit(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
