package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp"
	"mdalp/cmd/internal/table"
)

// extendedHalf is halfway in the extended protocol, with a thousand times the bytes.
func extendedHalf() *mdalp.Report {
	r := halfway(3, "177.71.168.45")
	r.Extended, r.Segment, r.Size, r.Acked = true, 100_000, r.Size*1000, r.Acked*1000
	for i := range r.Receivers {
		x := &r.Receivers[i]
		x.Bytes, x.Window, x.RTT, x.Lost = x.Bytes*1000, 1_000_000, 20*time.Millisecond, int64(i)
	}
	return r
}

// The pace of an extended transfer is in bytes, and so is what is left.
func TestPaceOfBytes(t *testing.T) {
	var p pace
	r := extendedHalf()
	for r.Transfer, r.Acked = 0, 0; r.Transfer < 10*time.Second; r.Transfer += 100 * time.Millisecond {
		r.Acked = int64(r.Transfer.Seconds() * 500_000)
		p.see(r)
	}
	if p.rate < 499_000 || p.rate > 501_000 {
		t.Errorf("%v bytes a second", p.rate)
	}
	r.Acked = 8_000_000
	for _, c := range []struct {
		rate float64
		want string
	}{{500_000, "2 s"}, {10_000, "1m40s"}, {0, "?"}, {2, "138h53m20s"}} {
		if got := eta(r, c.rate); got != c.want {
			t.Errorf("at %v: %q instead of %q", c.rate, got, c.want)
		}
	}
}

// The table of an extended transfer has windows and round trips instead of acknowledgements.
func TestSummaryOfExtended(t *testing.T) {
	r := extendedHalf()
	r.Phase, r.Verdict, r.SHA256 = mdalp.Finished, time.Second, "0123"
	r.Hashing, r.Socket = 250*time.Millisecond, mdalp.SocketReport{Drops: 1, Truncated: 2, Lost: 3, Blocked: 4, Trains: 5}
	for _, c := range []struct {
		width   int
		verbose bool
		want    string
	}{
		{200, true, `
transaction 3740: DAMAGED, 5000000 of 9000000 bytes acknowledged in 22.000 s
waited 12.000 s, pinged 0.000 s, sent 10.000 s, verdict 1.000 s
extended: segments of 100000 bytes, windows of up to 1.0 MB, 3 lost and sent again, 500.0 kB/s; sha256 0123
            receiver     latency    bytes  segments  lost  resent  timeouts  took over  window        rtt  bytes/s  state
  177.71.168.45:4650  156.857 ms  3000000     30/30     0       3         0          0  1.0 MB  20.000 ms      100     ok
  177.71.168.46:4650  156.857 ms  1000000     10/30     1       0         0          0  1.0 MB  20.000 ms      100   dead
  177.71.168.47:4650  156.857 ms  1000000     10/30     2       0         0          0  1.0 MB  20.000 ms      100     ok
177.71.168.46:4650 is dead: connection refused
hashing took 0.250 s of CPU time, beside the sending
socket: 1 datagrams dropped for want of a receive buffer, 2 too long, 3 not sent for want of memory; send buffer full 4 times; 5 trains
`},
		{80, false, `
transaction 3740: DAMAGED, 5000000 of 9000000 bytes acknowledged in 22.000 s
waited 12.000 s, pinged 0.000 s, sent 10.000 s, verdict 1.000 s
extended: segments of 100000 bytes, windows of up to 1.0 MB, 3 lost and sent
  again, 500.0 kB/s; sha256 0123
            receiver     latency    bytes  segments  lost  resent  state
  177.71.168.45:4650  156.857 ms  3000000     30/30     0       3     ok
  177.71.168.46:4650  156.857 ms  1000000     10/30     1       0   dead
  177.71.168.47:4650  156.857 ms  1000000     10/30     2       0     ok
177.71.168.46:4650 is dead: connection refused
`},
	} {
		var b bytes.Buffer
		table.Summarize(&b, r, mdalp.ErrDamaged, c.width, c.verbose)
		if diff := cmp.Diff(c.want, "\n"+b.String()); diff != "" {
			t.Errorf("%d columns:\n%s", c.width, diff)
		}
	}
}
