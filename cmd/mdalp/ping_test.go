package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp"
	"mdalp/cmd/internal/progress"
	"mdalp/cmd/internal/table"
	"mdalp/cmd/internal/usage"
	"mdalp/icmp"
	"mdalp/internal/need"
)

// needPings skips a test for want of the privilege to ping.
func needPings(t *testing.T) {
	t.Helper()
	_, err := mdalp.Ping(t.Context(), []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, &mdalp.PingConfig{Count: 1})
	if err != nil {
		need.Skip(t, err)
	}
}

// pinged is a report with everything in it that shows.
func pinged() (*targets, *mdalp.PingReport) {
	t := &targets{names: []string{"192.0.2.1", "far.example", "192.0.2.3", "192.0.2.4"}, asked: netip.MustParseAddrPort("192.0.2.9:4650"), tid: 7}
	r := &mdalp.PingReport{Mode: icmp.Raw, Elapsed: 7 * time.Millisecond, Foreign: 2}
	for i := range t.names {
		t.addrs = append(t.addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
		r.Hosts = append(r.Hosts, mdalp.HostPing{Addr: t.addrs[i]})
	}
	us := time.Microsecond
	r.Hosts[0].Echoes = icmp.Stats{Sent: 3, Received: 3, Min: 9*us + 499, Median: 10*us + 500, Mean: 999*us + 999, Max: 1234567 * us}
	r.Hosts[1].Echoes = icmp.Stats{Sent: 3, Received: 1, Min: us, Median: us, Mean: us, Max: us}
	r.Hosts[2].Echoes = icmp.Stats{Sent: 3}
	r.Hosts[3].Err = syscall.ENETUNREACH
	return t, r
}

func TestPingTable(t *testing.T) {
	const want = `host                     answered      loss       min    median      mean       max  ms
192.0.2.1                     3/3       0 %     0.009     0.011     1.000  1234.567
192.0.2.2 (far.example)       1/3      66 %     0.001     0.001     0.001     0.001
192.0.2.3                     0/3     100 %         -         -         -         -
192.0.2.4                     0/0         -         -         -         -         -  network is unreachable
4 hosts: 2 answered, 2 silent; 4 of 9 echoes answered, 55 % lost
`
	var got bytes.Buffer
	h, r := pinged()
	table.Pings(&got, h.names, r)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPingJSON(t *testing.T) {
	h, r := pinged()
	text, err := json.Marshal(h.json(r, exited(exitSilent)))
	if err != nil {
		t.Fatal(err)
	}
	if f := published(t, "ping").fault(t, text); f != "" {
		t.Errorf("%s\n%s", f, text)
	}
	var got any
	json.Unmarshal(text, &got)
	silent := map[string]any{"name": "", "error": nil, "echo_min_ms": nil, "echo_median_ms": nil, "echo_mean_ms": nil, "echo_max_ms": nil, "echoes_received": 0.0}
	with := func(m map[string]any, more map[string]any) map[string]any {
		for k, v := range m { // order does not show
			if _, ok := more[k]; !ok {
				more[k] = v
			}
		}
		return more
	}
	want := map[string]any{
		"schema": "mdalp.ping/1", "version": mdalp.Version, "exit_code": 1.0, "error": nil, "ping_socket": "raw",
		"orchestrator": "192.0.2.9:4650", "tid": 7.0, "elapsed_seconds": 0.007, "silent_hosts": 2.0, "unresolved_hosts": 0.0,
		"duplicate_messages": 0.0, "foreign_messages": 2.0, "malformed_messages": 0.0,
		"hosts": []any{
			map[string]any{"address": "192.0.2.1", "name": "", "error": nil, "echoes_sent": 3.0, "echoes_received": 3.0, "loss_ratio": 0.0,
				"echo_min_ms": 0.009499, "echo_median_ms": 0.0105, "echo_mean_ms": 0.999999, "echo_max_ms": 1234.567},
			map[string]any{"address": "192.0.2.2", "name": "far.example", "error": nil, "echoes_sent": 3.0, "echoes_received": 1.0, "loss_ratio": 2.0 / 3,
				"echo_min_ms": 0.001, "echo_median_ms": 0.001, "echo_mean_ms": 0.001, "echo_max_ms": 0.001},
			with(silent, map[string]any{"address": "192.0.2.3", "echoes_sent": 3.0, "loss_ratio": 1.0}),
			with(silent, map[string]any{"address": "192.0.2.4", "echoes_sent": 0.0, "loss_ratio": 0.0, "error": "network is unreachable"}),
		},
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestExpandHosts(t *testing.T) {
	many := strings.Repeat("127.0.0.1\n", pingLimit)
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte("# all of them\n\nf1\n\tf2 # the second\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args, files []string
		in          string
		want        []string // nil: an error
	}{
		{[]string{"a", "b"}, nil, "never read", []string{"a", "b"}},
		{[]string{"a", "-", "b"}, nil, "x\n\n  y \r\n# no host\nz", []string{"a", "x", "y", "z", "b"}},
		{[]string{"-"}, nil, "x # the first\ny\t#\n#", []string{"x", "y"}},
		{nil, []string{list}, "never read", []string{"f1", "f2"}},
		{[]string{"a"}, []string{list, "-"}, "x", []string{"a", "f1", "f2", "x"}},
		{[]string{"-"}, nil, "\n# nothing\n", nil},
		{[]string{"-"}, nil, "a b\n", nil},
		{[]string{""}, nil, "", nil},
		{[]string{"-", "a"}, nil, many, nil},
		{[]string{"-"}, nil, strings.Repeat("x", 100_000), nil},
		{[]string{"-", "127.0.0.1/32"}, nil, many, nil},
		{[]string{"a", "192.0.2.9/30"}, nil, "", []string{"a", "192.0.2.9", "192.0.2.10"}},
		{[]string{"192.0.2.9/31", "192.0.2.9/32"}, nil, "", []string{"192.0.2.8", "192.0.2.9", "192.0.2.9"}},
		{[]string{"fd00::5/126"}, nil, "", []string{"fd00::4", "fd00::5", "fd00::6", "fd00::7"}},
		{[]string{"[fd00::]/127"}, nil, "", []string{"fd00::", "fd00::1"}},
		{[]string{"fe80::8%lo/127"}, nil, "", []string{"fe80::8%lo", "fe80::9%lo"}},
		{[]string{"10.0.0.0/8"}, nil, "", nil},
		{[]string{"10.0.0.0/16"}, nil, "", nil},
		{[]string{"10.0.0.0/18"}, nil, "", nil},
		{[]string{"10.0.0.0/0"}, nil, "", nil},
		{[]string{"::/0"}, nil, "", nil},
		{[]string{"fd00::/112"}, nil, "", nil},
		{[]string{"10.0.0.0/33"}, nil, "", nil},
		{[]string{"10.0.0.0/-1"}, nil, "", nil},
		{[]string{"10.0.0.0/"}, nil, "", nil},
		{[]string{"/8"}, nil, "", nil},
		{[]string{"localhost/8"}, nil, "", nil},
		{[]string{"http://localhost/"}, nil, "", nil},
	}
	for i, tt := range tests {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			got, err := expandHosts(tt.args, tt.files, strings.NewReader(tt.in))
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
				t.Errorf("%v, %s", err, diff)
			}
			if err != nil && !usage.Is(err) {
				t.Errorf("%v is no error of the command line", err)
			}
		})
	}
	if got, err := expandHosts([]string{"-"}, nil, strings.NewReader(many)); err != nil || len(got) != pingLimit {
		t.Errorf("%d hosts, %v", len(got), err)
	}
	if got, err := expandHosts([]string{"10.0.0.0/19"}, nil, nil); err != nil || len(got) != 8190 || got[0] != "10.0.0.1" || got[8189] != "10.0.31.254" {
		t.Errorf("%d hosts, %v", len(got), err)
	}
}

// The table on a terminal fits, and says how many hosts it leaves out.
func TestPingFrame(t *testing.T) {
	h, r := pinged()
	r.Elapsed = 1230 * time.Millisecond
	h.names[3] = "\x1b[2J東京.example"
	for _, c := range []struct {
		cols, rows int
		want       string
	}{
		{99, 10, `
pinging 4 hosts  round 3  2 answered  2 silent  1.2 s ...
host                             answered      loss       min    median      mean       max  ms
192.0.2.1                             3/3       0 %     0.009     0.011     1.000  1234.567
192.0.2.2 (far.example)               1/3      66 %     0.001     0.001     0.001     0.001
192.0.2.3                             0/3     100 %         -         -         -         -
192.0.2.4 (\x1b[2J東京.example)       0/0         -         -         -         -         -  networ
`},
		{60, 5, `
pinging 4 hosts  round 3  2 answered  2 silent  1.2 s ...
host              answered      loss       min    median
192.0.2.1              3/3       0 %     0.009     0.011
192.0.2.2 (far..       1/3      66 %     0.001     0.001
... and 2 more
`},
		{30, 2, `
pinging 4 hosts  round 3  2 an
... and 4 more
`},
	} {
		got := "\n" + strings.Join(progress.PingFrame(h.names, r, c.cols, c.rows), "\n") + "\n"
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%d columns:\n%s", c.cols, diff)
		}
	}
	for cols := 19; cols < 120; cols++ {
		for rows := 2; rows < 8; rows++ {
			f := progress.PingFrame(h.names, r, cols, rows)
			for _, l := range f {
				if table.Columns(l) > cols || strings.Contains(l, "\x1b") {
					t.Fatalf("%d columns: %q", cols, l)
				}
			}
			if len(f) > rows {
				t.Fatalf("%d lines on %d", len(f), rows)
			}
		}
	}
}

func TestColumns(t *testing.T) {
	for s, want := range map[string]int{ // order does not show
		"": 0, "abc": 3, "Zürich": 6, "東京": 4, "e\u0301": 1, "서울": 4, "🛰": 2, "naïve ☕": 8, "…": 1, "カナ": 4, "Ελλάς": 5,
	} {
		if got := table.Columns(s); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
		for n := range want + 2 {
			if c, k := table.Clip(s, n), table.Cut(s, n); table.Columns(c) > n || table.Columns(k) > n || !strings.HasPrefix(s, c) || n >= want && c+k != s+s {
				t.Errorf("%q cut after %d columns: %q, %q", s, n, c, k)
			}
		}
	}
}

// On a terminal the table shows while pings go on, and is gone in the end.
func TestTerminalPing(t *testing.T) {
	needPings(t)
	t.Parallel()
	x := newTerminal(t, 80, 12, "trap : INT; mdalp ping -c 3 -i 1h 127.0.0.0/24")
	s := x.until(`(?m)^pinging 254 hosts  round 1  254 answered  0 silent  \d+\.\d s \.\.\.\nhost .*\n127\.0\.0\.1 +1/1 .*\n127\.0\.0\.2 (?s:.*)and 252 more$`)
	x.fits(s, 79, 5)
	x.tmux("send-keys", "C-c")
	x.until(`exit=130$`)
	s = x.history(`exit=130$`)
	if !regexp.MustCompile(`(?m)^127\.0\.0\.254 +1/1 .*\n254 hosts: 254 answered, 0 silent; 254 of 254 echoes answered, 0 % lost\n`).MatchString(s) ||
		strings.Contains(s, "round") || strings.Contains(s, " more") {
		t.Errorf("\n%s", s)
	}
	x = newTerminal(t, 80, 12, "trap : INT; mdalp ping -q -c 2 -i 1.5 127.0.0.1 & wait; mdalp ping -q -c 2 -i .5 127.0.0.1")
	if s := x.until(`exit=0$`); strings.Contains(s, "round") || strings.Count(s, "2/2") != 2 {
		t.Errorf("\n%s", s)
	}
}
