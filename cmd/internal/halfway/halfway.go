// Package halfway has reports of transfers that are half done. It is for tests.
package halfway

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"mdalp"
)

// Report is a report of n receivers with 30 segments each. The first has done all, the
// second is dead, the others have done a third.
func Report(n int, addr string) *mdalp.Report {
	r := &mdalp.Report{
		Phase: mdalp.PhaseSending, Orchestrator: netip.MustParseAddrPort("18.139.29.142:4650"), TID: 3740,
		Size: int64(n) * 3000, Segments: int64(n) * 30, Wait: 12 * time.Second, Transfer: 10 * time.Second,
		Elapsed: 22 * time.Second,
	}
	a := netip.MustParseAddr(addr)
	for i := range n {
		x := mdalp.ReceiverReport{Addr: netip.AddrPortFrom(a, 4650), Latency: 156857 * time.Microsecond,
			Assigned: 30, Acked: 10, Bytes: 1000, Sent: 10, Rate: 100}
		switch i {
		case 0:
			x.Acked, x.Bytes, x.Resent = 30, 3000, 3
			x.AckMin, x.AckMean, x.AckMax = 600*time.Millisecond, 700*time.Millisecond, 800*time.Millisecond
		case 1:
			x.Err = fmt.Errorf("data: %w", errors.New("connection refused"))
		}
		r.Acked += x.Bytes
		r.Left += 30 - x.Acked
		r.Receivers = append(r.Receivers, x)
		a = a.Next()
	}
	return r
}

// Extended is [Report] in the extended protocol, with a thousand times the bytes.
func Extended() *mdalp.Report {
	r := Report(3, "177.71.168.45")
	r.Extended, r.Segment, r.Size, r.Acked = true, 100_000, r.Size*1000, r.Acked*1000
	for i := range r.Receivers {
		x := &r.Receivers[i]
		x.Bytes, x.Window, x.RTT, x.Lost = x.Bytes*1000, 1_000_000, 20*time.Millisecond, int64(i)
	}
	return r
}
