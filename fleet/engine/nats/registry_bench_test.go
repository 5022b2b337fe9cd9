package nats

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// What the registry costs: each receiver looks who has its ID and says that it is there, as it does every
// three seconds, and each orchestrator is told of each of them.
func BenchmarkRegistry(b *testing.B) {
	c := engines.Start(b, 3, engines.Options{})
	c.Ready(b)
	dial := func() *Engine {
		e, err := Dial(Options{URL: c.URL()})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { e.Close() })
		return e
	}
	orchestrators := make([]*Engine, 10)
	for i := range orchestrators {
		orchestrators[i] = dial()
		if _, err := orchestrators[i].Living(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	connections := make([]*Engine, 100)
	for i := range connections {
		connections[i] = dial()
	}
	for _, n := range []int{20, 200, 1000} {
		b.Run(fmt.Sprintf("receivers=%d", n), func(b *testing.B) {
			var words atomic.Int64
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				p := engine.Party{Role: engine.Receiver, Addr: netip.MustParseAddrPort("10.0.0.1:4651"), Token: "t", Seg: 8192, Win: 300}
				for pb.Next() {
					k := int(words.Add(1)) % n
					p.ID = fmt.Sprint("r", k)
					e := connections[k%len(connections)]
					_, _, err := e.Said(b.Context(), p.ID)
					if err == nil {
						err = e.Say(b.Context(), &p)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
			_, last, err := connections[0].Said(b.Context(), "r1")
			if err != nil {
				b.Fatal(err)
			}
			for _, e := range orchestrators {
				if err := e.living.reach(b.Context(), last); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "words/s")
		})
	}
}
