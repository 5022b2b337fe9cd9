package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp"
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
`
	var got bytes.Buffer
	h, r := pinged()
	showPings(&got, h, r)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPingJSON(t *testing.T) {
	h, r := pinged()
	text, err := json.Marshal(newPingJSON(h, r, exited(exitSilent)))
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
	tests := []struct {
		args []string
		in   string
		want []string // nil: an error
	}{
		{[]string{"a", "b"}, "never read", []string{"a", "b"}},
		{[]string{"a", "-", "b"}, "x\n\n  y \r\n# no host\nz", []string{"a", "x", "y", "z", "b"}},
		{[]string{"-"}, "\n# nothing\n", nil},
		{[]string{"-"}, "a b\n", nil},
		{[]string{""}, "", nil},
		{[]string{"-", "a"}, many, nil},
		{[]string{"-"}, strings.Repeat("x", 100_000), nil},
	}
	for i, tt := range tests {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			got, err := expandHosts(tt.args, strings.NewReader(tt.in))
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
				t.Errorf("%v, %s", err, diff)
			}
			if err != nil && len(tt.in) < 1<<16 && !usage.Is(err) {
				t.Errorf("%v is no error of the command line", err)
			}
		})
	}
	if got, err := expandHosts([]string{"-"}, strings.NewReader(many)); err != nil || len(got) != pingLimit {
		t.Errorf("%d hosts, %v", len(got), err)
	}
}
