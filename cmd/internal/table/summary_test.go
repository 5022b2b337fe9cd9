package table

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp"
	"mdalp/cmd/internal/halfway"
)

func TestSummaryFits(t *testing.T) {
	r := halfway.Report(3, "177.71.168.45")
	r.Phase = mdalp.PhaseFinished
	for _, c := range []struct {
		width int
		want  string
	}{
		{80, `
transaction 3740: INCOMPLETE, 5000 of 9000 bytes acknowledged in 22.000 s
waited 12.000 s, pinged 0.000 s, sent 10.000 s
            receiver     latency  bytes  segments  resent  timeouts  state
  177.71.168.45:4650  156.857 ms   3000     30/30       3         0     ok
  177.71.168.46:4650  156.857 ms   1000     10/30       0         0   dead
  177.71.168.47:4650  156.857 ms   1000     10/30       0         0     ok
177.71.168.46:4650 is dead: connection refused
`},
		{40, `
transaction 3740: INCOMPLETE, 5000 of
  9000 bytes acknowledged in 22.000 s
waited 12.000 s, pinged 0.000 s, sent
  10.000 s
            receiver  segments  state
  177.71.168.45:4650     30/30     ok
  177.71.168.46:4650     10/30   dead
  177.71.168.47:4650     10/30     ok
177.71.168.46:4650 is dead: connection refused
`},
		{30, `
transaction 3740: INCOMPLETE,
  5000 of 9000 bytes
  acknowledged in 22.000 s
waited 12.000 s, pinged 0.000
  s, sent 10.000 s
  receiver
  segments  state
  177.71.168.45:4650
     30/30     ok
  177.71.168.46:4650
     10/30   dead
  177.71.168.47:4650
     10/30     ok
177.71.168.46:4650 is dead: connection refused
`},
		{200, `
transaction 3740: INCOMPLETE, 5000 of 9000 bytes acknowledged in 22.000 s
waited 12.000 s, pinged 0.000 s, sent 10.000 s
            receiver     latency  bytes  segments  resent  timeouts  took over            ack min/mean/max  bytes/s  state
  177.71.168.45:4650  156.857 ms   3000     30/30       3         0          0  600.000/700.000/800.000 ms      100     ok
  177.71.168.46:4650  156.857 ms   1000     10/30       0         0          0                           -      100   dead
  177.71.168.47:4650  156.857 ms   1000     10/30       0         0          0                           -      100     ok
177.71.168.46:4650 is dead: connection refused
`},
	} {
		var b bytes.Buffer
		Summarize(&b, r, nil, c.width, false)
		if diff := cmp.Diff(c.want, "\n"+b.String()); diff != "" {
			t.Errorf("%d columns:\n%s", c.width, diff)
		}
	}
}

// The table of an extended transfer has windows and round trips instead of acknowledgements.
func TestSummaryOfExtended(t *testing.T) {
	r := halfway.Extended()
	r.Phase, r.Verdict, r.SHA256 = mdalp.PhaseFinished, time.Second, "0123"
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
		Summarize(&b, r, mdalp.ErrDamaged, c.width, c.verbose)
		if diff := cmp.Diff(c.want, "\n"+b.String()); diff != "" {
			t.Errorf("%d columns:\n%s", c.width, diff)
		}
	}
}
