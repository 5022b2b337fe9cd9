package bench

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"mdalp"
	"mdalp/icmp"
)

// whole sends data with this module, in equal shares: with a split by latency a few
// receivers would have the tail, and the figures would judge the split.
func whole(r *Receivers, n int, data []byte) error {
	report, err := mdalp.Send(context.Background(), bytes.NewReader(data), int64(len(data)),
		&mdalp.Config{Orchestrator: r.Addr, Balance: mdalp.BalanceEqual, Ping: icmp.Off})
	if err == nil && (len(report.Receivers) != n || report.Left != 0) {
		return fmt.Errorf("%d receivers, %d segments left", len(report.Receivers), report.Left)
	}
	return err
}

// clients are the ways to send that are compared, this module's first.
var clients = []struct {
	name string
	send func(r *Receivers, n int, data []byte) error
}{{"mdalp", whole}, {"goroutines", goroutines}, {"channels", channels}}

// BenchmarkSend is whole transfers over loopback, set-up included; an operation is a
// segment of 100 bytes and its acknowledgement. cpu-ns/op is what the process used,
// user and system; the receivers are another process.
func BenchmarkSend(b *testing.B) {
	for _, c := range clients {
		for _, n := range counts {
			b.Run(fmt.Sprintf("client=%s/receivers=%d", c.name, n), func(b *testing.B) {
				r := receivers(b, n, 0, false)
				data := make([]byte, segment*b.N)
				b.ReportAllocs()
				cpu := CPU()
				b.ResetTimer()
				if err := c.send(r, n, data); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(CPU()-cpu)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// BenchmarkAgainst compares in rounds: each round sends the same with every client, in
// turns, so that a busy neighbour on the machine meets all alike. What it reports are
// medians over the rounds of this module's figure divided by the other's in the same
// round: cpu/NAME, of CPU time, and time/NAME. ns/op is the length of a round and means
// nothing. Fewer than 5 rounds (-benchtime=5x) say little.
func BenchmarkAgainst(b *testing.B) {
	for _, n := range counts {
		b.Run(fmt.Sprint("receivers=", n), func(b *testing.B) {
			r := receivers(b, n, 0, false)
			segments := 100_000
			if n == 1 {
				segments /= 4
			}
			data := make([]byte, segment*segments)
			cpu, took := make([][]float64, len(clients)), make([][]float64, len(clients))
			for round := range b.N {
				var c, t [3]float64
				for k := range clients {
					if round%2 == 1 {
						k = len(clients) - 1 - k
					}
					runtime.GC() // what one leaves behind is not the next one's work
					c0, t0 := CPU(), time.Now()
					if err := clients[k].send(r, n, data); err != nil {
						b.Fatal(err)
					}
					c[k], t[k] = float64(CPU()-c0), float64(time.Since(t0))
				}
				for k := range clients {
					cpu[k], took[k] = append(cpu[k], c[0]/c[k]), append(took[k], t[0]/t[k])
				}
			}
			for k := 1; k < len(clients); k++ {
				b.ReportMetric(median(cpu[k]), "cpu/"+clients[k].name)
				b.ReportMetric(median(took[k]), "time/"+clients[k].name)
			}
		})
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

// All ways to send must really send, or their figures mean nothing.
func TestClients(t *testing.T) {
	for _, c := range clients {
		for _, n := range []int{1, 3, 64} {
			t.Run(fmt.Sprintf("%s/%d", c.name, n), func(t *testing.T) {
				r := receivers(t, n, 0, false)
				if err := c.send(r, n, make([]byte, 64_001)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
