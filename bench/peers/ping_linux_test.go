package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	probing "github.com/prometheus-community/pro-bing"

	"mdalp"
	"mdalp/bench"
	"mdalp/icmp"
)

const (
	echoes = 3
	gap    = 20 * time.Millisecond
)

// own pings the hosts with this module and gives the median of their median round trips.
func own(b *testing.B, hosts []netip.Addr) time.Duration {
	report, err := mdalp.Ping(context.Background(), hosts, &mdalp.PingConfig{Count: echoes, Interval: gap, Mode: icmp.Raw})
	if errors.Is(err, os.ErrPermission) {
		b.Skip(err)
	}
	if err != nil || report.Silent() != 0 {
		b.Fatal(err)
	}
	all := make([]time.Duration, 0, len(hosts))
	for i := range report.Hosts {
		all = append(all, report.Hosts[i].Echoes.Median)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// theirs does the same with a Pinger and a goroutine for each host. Of a thousand some
// may fail, and lose echoes: lost counts those.
func theirs(b *testing.B, hosts []netip.Addr) (rtt time.Duration, lost int) {
	type result struct {
		rtts []time.Duration
		err  error
	}
	results := make(chan result, len(hosts))
	for _, h := range hosts {
		go func() {
			p, err := probing.NewPinger(h.String())
			if err == nil {
				p.SetPrivileged(true)
				p.SetLogger(probing.NoopLogger{})
				p.Count, p.Interval, p.Timeout = echoes, gap, 20*time.Second
				err = p.Run()
			}
			if err != nil {
				results <- result{err: err}
				return
			}
			results <- result{rtts: p.Statistics().Rtts}
		}()
	}
	var all []time.Duration
	for range hosts {
		r := <-results
		if r.err != nil && len(hosts) <= 10 {
			b.Fatal(r.err)
		}
		all = append(all, r.rtts...)
	}
	slices.Sort(all)
	if len(all) == 0 {
		b.Fatal("nothing was answered")
	}
	return all[len(all)/2], echoes*len(hosts) - len(all)
}

// BenchmarkAgainstProbing pings the same hosts with both, in turns, and reports medians
// over the rounds of the ratio in each, ours to theirs: cpu/probing and time/probing, and
// the medians of the round trips that they report.
func BenchmarkAgainstProbing(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint("hosts=", n), func(b *testing.B) {
			hosts := make([]netip.Addr, n)
			for i := range hosts {
				hosts[i] = bench.Address(i)
			}
			var cpus, times, rtts, their []float64
			lost := 0
			for range b.N {
				var a, p time.Duration
				cpuOwn, tookOwn := used(func() { a = own(b, hosts) })
				cpuTheirs, tookTheirs := used(func() {
					var k int
					p, k = theirs(b, hosts)
					lost += k
				})
				cpus, times = append(cpus, cpuOwn/cpuTheirs), append(times, tookOwn/tookTheirs)
				rtts, their = append(rtts, float64(a)/1e3), append(their, float64(p)/1e3)
			}
			b.ReportMetric(median(cpus), "cpu/probing")
			b.ReportMetric(median(times), "time/probing")
			b.ReportMetric(median(rtts), "rtt-us")
			b.ReportMetric(median(their), "probing-rtt-us")
			b.ReportMetric(float64(lost)/float64(b.N), "probing-lost")
		})
	}
}

// used tells the CPU time and the time that f takes, in nanoseconds.
func used(f func()) (cpu, took float64) {
	runtime.GC() // what came before leaves no work behind
	c, t := bench.CPU(), time.Now()
	f()
	return float64(bench.CPU() - c), float64(time.Since(t))
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
