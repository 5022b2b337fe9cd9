package nats

import (
	"fmt"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// What the engine has of one transaction, from its offer to its end: five writes. Many are
// under way at once, as in a fleet.
func BenchmarkTransaction(b *testing.B) {
	for _, n := range []int{1, 3} {
		for _, sync := range []string{"2m", "always"} {
			b.Run(fmt.Sprintf("servers=%d/sync=%s", n, sync), func(b *testing.B) {
				c := engines.Start(b, n, engines.Options{Sync: sync})
				c.Ready(b)
				e, err := Dial(Options{URL: c.URL(), Replicas: n})
				if err != nil {
					b.Fatal(err)
				}
				defer e.Close()
				if _, err := e.Create(b.Context(), record()); err != nil {
					b.Fatal(err)
				}
				b.SetParallelism(64)
				b.ResetTimer()
				start := time.Now()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						r := record()
						rev, err := e.Create(b.Context(), r)
						for _, s := range []engine.State{engine.Open, engine.Settling, engine.Complete} {
							if err == nil {
								r.State, r.Bytes, r.Segment = s, 5000, 1200
								rev, err = e.Update(b.Context(), r, rev)
							}
						}
						if err == nil {
							err = e.Publish(b.Context(), r)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "transactions/s")
			})
		}
	}
}
