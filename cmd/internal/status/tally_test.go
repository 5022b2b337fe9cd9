package status

import (
	"errors"
	"testing"
	"time"

	"mdalp/server"
)

// Of verdicts the newest are kept, in their order, and what somebody was given of them stays
// as it is.
func TestTallyKeepsTheNewest(t *testing.T) {
	var c tally
	var given []Verdict
	for k := range int64(5 * mostVerdicts) {
		c.add(time.Unix(k, 0), &server.Result{TID: k, Segments: 1, Status: true, Complete: true})
		if k == 1500 {
			given = c.newest()
		}
	}
	for _, x := range []struct {
		got   []Verdict
		first int64
	}{{given, 501}, {c.newest(), 4 * mostVerdicts}} {
		if len(x.got) != mostVerdicts {
			t.Fatalf("%d verdicts", len(x.got))
		}
		for i, v := range x.got {
			if v.TID != x.first+int64(i) {
				t.Fatalf("number %d is %d", i, v.TID)
			}
		}
	}
	if cap(c.verdicts) > 2*mostVerdicts {
		t.Errorf("room for %d verdicts", cap(c.verdicts))
	}
}

// Each kind of verdict counts as what it is, and those without a segment are not listed.
func TestOutcomes(t *testing.T) {
	var c tally
	for _, x := range []struct {
		r    server.Result
		want Outcome
	}{
		{server.Result{Status: true, Complete: true, Balanced: true, Segments: 1}, Complete},
		{server.Result{Complete: true, Segments: 1}, Unbalanced},
		{server.Result{Balanced: true, Segments: 1}, Incomplete},
		{server.Result{Segments: 1}, Incomplete},
		{server.Result{Balanced: true, Segments: 1, Err: errors.Join(server.ErrDamaged)}, Damaged},
		{server.Result{Segments: 1, Cut: true}, Cut},
		{server.Result{Balanced: true}, Unused},
		{server.Result{Status: true, Complete: true, Balanced: true}, Complete}, // an empty payload was expected
	} {
		before := c.outcomes[x.want]
		c.add(time.Unix(1, 0), &x.r)
		if c.outcomes[x.want] != before+1 {
			t.Errorf("%+v is not %v", x.r, x.want)
		}
	}
	if len(c.newest()) != 7 {
		t.Errorf("%d are listed", len(c.newest()))
	}
}

// A time on the bound of a bucket is in it (Prometheus, "le").
func TestSettling(t *testing.T) {
	var c tally
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, 2 * time.Minute, time.Hour} {
		c.add(time.Unix(1, 0), &server.Result{Segments: 1, Elapsed: time.Minute + d, Transfer: time.Minute})
	}
	b := c.settling.Buckets
	if b[0] != 2 || b[1] != 1 || b[len(settleBuckets)-1] != 1 || b[len(settleBuckets)] != 1 {
		t.Errorf("%v", b)
	}
}

// What people read.
func TestTexts(t *testing.T) {
	for _, x := range []struct{ got, want string }{
		{size(int64(0)), "0\u00a0B"}, {size(int64(999)), "999\u00a0B"}, {size(int64(1000)), "1.0\u00a0kB"}, {size(uint64(99_950)), "100\u00a0kB"},
		{size(999_600.0), "1.0\u00a0MB"}, {size(int64(1) << 62), "4.6\u00a0EB"},
		{grouped(0), "0"}, {grouped(999), "999"}, {grouped(1000), "1,000"}, {grouped(uint64(1234567)), "1,234,567"},
		{seconds(0), "0\u00a0ms"}, {seconds(0.9994), "999\u00a0ms"}, {seconds(9.94), "9.9\u00a0s"}, {seconds(59), "59\u00a0s"}, {seconds(61), "1\u00a0min 1\u00a0s"},
		{seconds(3661), "1\u00a0h 1\u00a0min"}, {seconds(90000), "1\u00a0d 1\u00a0h"}, {percent(0.335), "34\u00a0%"}, {end(7), "7"}, {end(123456), "3456"},
	} {
		if x.got != x.want {
			t.Errorf("%q instead of %q", x.got, x.want)
		}
	}
}

// Addresses of --http, as they are listened on, and whether others reach them.
func TestAddresses(t *testing.T) {
	for _, x := range []struct {
		text, want string
		private    bool
	}{
		{"127.0.0.1", "127.0.0.1:8650", true},
		{"127.0.0.1:1", "127.0.0.1:1", true},
		{"localhost", "127.0.0.1:8650", true},
		{"localhost:1", "127.0.0.1:1", true},
		{"::1", "[::1]:8650", true},
		{"[::1]:1", "[::1]:1", true},
		{"[::ffff:127.0.0.1]:1", "127.0.0.1:1", true},
		{":1", "[::]:1", false},
		{"192.0.2.1:1", "192.0.2.1:1", false},
	} {
		o := Options{Addr: x.text}
		a, err := o.addr()
		if err != nil || a.String() != x.want || o.private() != x.private {
			t.Errorf("%s: %v, %v, %v", x.text, a, err, o.private())
		}
	}
	if o := (Options{Addr: "unix:/x"}); o.Check() != nil || !o.private() {
		t.Error("a Unix socket is open to others")
	}
}
