package nats

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// What the registry costs: each that is there is told of each that says so.
func BenchmarkRegistry(b *testing.B) {
	c := engines.Start(b, 3, engines.Options{})
	c.Ready(b)
	var all []*Engine
	for _, n := range []int{10, 100, 300} {
		for len(all) < n {
			e, err := Dial(Options{URL: c.URL()})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { e.Close() })
			all = append(all, e)
			if _, err := e.Token(b.Context(), "t"); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("parts=%d", n), func(b *testing.B) {
			p := engine.Party{Role: engine.Receiver, Addr: netip.MustParseAddrPort("10.0.0.1:4651"), Token: "t", Seg: 8192, Win: 300}
			start := time.Now()
			for i := range b.N {
				p.ID = fmt.Sprint("r", i%n)
				if err := all[i%n].Say(b.Context(), &p); err != nil {
					b.Fatal(err)
				}
			}
			for _, e := range all {
				rev := all[0].living.told()
				if err := e.living.reach(b.Context(), rev); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/time.Since(start).Seconds(), "told/s")
		})
	}
}
