package overview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/nats"
	"mdalp/internal/need"
)

// A fixed is an engine that tells the same for ever. Its ledger and registry are only read.
type fixed struct {
	engine.Ledger
	engine.Registry
	open    []engine.Entry
	parties []engine.Party
	streams []nats.Stream
	err     error
	cut     bool // there is no connection
}

func (f *fixed) Unsettled(context.Context) ([]engine.Entry, error) { return f.open, f.err }
func (f *fixed) Living(context.Context) ([]engine.Party, error)    { return f.parties, f.err }
func (f *fixed) Streams(context.Context) []nats.Stream             { return f.streams }

func (f *fixed) Stats() nats.Stats {
	return nats.Stats{Server: "n1", Writes: 7, Away: 2, Connected: !f.cut}
}

func party(role engine.Role, id string, draining bool) engine.Party {
	return engine.Party{Role: role, ID: id, Addr: netip.MustParseAddrPort("192.0.2." + id[len(id)-1:] + ":4650"), Free: 3 << 30,
		Open: 5, Draining: draining, Token: "t"}
}

// without is a party whose directory is full.
func without(p engine.Party) engine.Party {
	p.Free = 0
	return p
}

// keyed is a receiver that has the fleet's key.
func keyed(p engine.Party) engine.Party {
	p.Seal = "s"
	return p
}

func openly(state engine.State, owner string) engine.Entry {
	return engine.Entry{Record: &engine.Record{TID: 1, State: state, Owner: owner}}
}

// fleets are what is told of several.
var fleets = []struct {
	name     string
	source   fixed
	problems []string // a part of each, in order
	text     []string // in what is written for people
	metrics  []string
}{
	{"all is well", fixed{
		parties: []engine.Party{party(engine.Orchestrator, "o1", false), party(engine.Receiver, "r1", false),
			party(engine.Receiver, "r2", true)},
		open:    []engine.Entry{openly(engine.Open, "o1"), openly(engine.Open, "o1"), openly(engine.Settling, "gone")},
		streams: []nats.Stream{{Name: "KV_l", Leader: "n1", Replicas: []nats.Copy{{Name: "n2", Current: true}}, Messages: 9, Bytes: 2048, MaxBytes: 1 << 30}},
	}, nil,
		[]string{"receiver      r2  192.0.2.2:4650  -     5     3.0 GiB  drains\n", "KV_l    n1      n2      9        2.0 KiB  1.0 GiB\n",
			"\nopen: 1 settling, 2 open; without an orchestrator: 1\n"},
		[]string{`mdalp_fleet_parties{role="receiver",state="drains"} 1`, `mdalp_fleet_parties{role="orchestrator",state="drains"} 0`,
			`mdalp_fleet_open_transactions{state="open"} 2`, "mdalp_fleet_orphans 1", "mdalp_fleet_engine_up 1",
			`mdalp_fleet_stream_bytes{stream="KV_l"} 2048`, `mdalp_fleet_stream_copies_behind{stream="KV_l"} 0`,
			`mdalp_fleet_engine_calls_total{call="write"} 7`, "mdalp_fleet_engine_away_total 2", "own_total 3", "own 4"}},
	{"nobody takes anything", fixed{parties: []engine.Party{party(engine.Orchestrator, "o1", true)}},
		[]string{"no orchestrator", "no receiver"}, []string{"\nopen: -; without an orchestrator: 0\n", "problem: no receiver is there"},
		[]string{`mdalp_fleet_parties{role="receiver",state="takes"} 0`}},
	{"one receiver has no room", fixed{parties: []engine.Party{party(engine.Orchestrator, "o1", false),
		party(engine.Receiver, "r1", false), without(party(engine.Receiver, "r2", false))}},
		[]string{"1 receivers have no room: their directory is full, or read-only"}, []string{"0 B      full\n"},
		[]string{`mdalp_fleet_parties{role="receiver",state="takes"} 1`, `mdalp_fleet_parties{role="receiver",state="full"} 1`}},
	{"nor has any", fixed{parties: []engine.Party{party(engine.Orchestrator, "o1", false), without(party(engine.Receiver, "r1", false))}},
		[]string{"no receiver is there that takes anything new", "1 receivers have no room"}, nil, nil},
	{"two receivers have one address", fixed{parties: []engine.Party{party(engine.Orchestrator, "o1", false),
		party(engine.Receiver, "r1", false), party(engine.Receiver, "a1", false)}},
		[]string{"receivers r1 and a1 both say that they are at 192.0.2.1:4650"}, []string{"problem: receivers r1 and a1 both say"}, nil},
	{"all have the key", fixed{parties: []engine.Party{party(engine.Orchestrator, "o1", false), keyed(party(engine.Receiver, "r1", false)),
		keyed(party(engine.Receiver, "r2", false))}}, nil, nil, nil},
	{"one has not", fixed{parties: []engine.Party{party(engine.Orchestrator, "o1", false), keyed(party(engine.Receiver, "r1", false)),
		party(engine.Receiver, "r2", false)}}, []string{"these receivers have no --fleet-key, and others have: r2; orchestrators"}, nil, nil},
	{"a stream is gone", fixed{err: errors.New("no quorum"), streams: []nats.Stream{{Name: "KV_m"}, {Name: "KV_l", Problem: "it is silent"}}},
		[]string{"the ledger cannot be read: no quorum", "the registry cannot be read: no quorum", "stream KV_l: it is silent"},
		[]string{"problem: stream KV_l: it is silent\n"}, []string{"mdalp_fleet_engine_up 0"}},
	{"no majority of it is there", fixed{err: fmt.Errorf("%w: %w", engine.ErrAway, context.DeadlineExceeded),
		streams: []nats.Stream{{Name: "KV_l", Problem: "context deadline exceeded"}}},
		[]string{"server n1 of the engine is reached, and answers nothing: most of the servers are away"},
		[]string{"KV_l    -       -       -        -      -\n", "problem: server n1 of the engine"}, []string{"mdalp_fleet_engine_up 0"}},
	{"the fleet has another name", fixed{err: errors.New("nothing of a fleet"),
		streams: []nats.Stream{{Name: "KV_l", Problem: "stream not found"}}}, []string{"nothing of a fleet"}, nil, nil},
	{"it lets this user see nothing", fixed{err: fmt.Errorf("%w: permissions violation", engine.ErrAway),
		streams: []nats.Stream{{Name: "KV_l", Problem: "context deadline exceeded"}}},
		[]string{"permissions violation"}, nil, []string{"mdalp_fleet_engine_up 0"}},
	{"there is no connection", fixed{err: errors.New("nobody answers"), cut: true}, []string{"nobody answers"},
		[]string{"problem: nobody answers\n"}, []string{"mdalp_fleet_engine_up 0"}},
	{"a server is behind, and a ledger full", fixed{
		parties: []engine.Party{party(engine.Orchestrator, "o1", false), party(engine.Receiver, "r1", false)},
		streams: []nats.Stream{{Name: "S", Replicas: []nats.Copy{{Name: "n2", Lag: 4}, {Name: "n3", Offline: true}},
			Warnings: []string{"it is nearly full"}}},
	}, []string{"stream S: it is nearly full"}, []string{"S       -       n2 (behind by 4), n3 (away)  0"},
		[]string{`mdalp_fleet_stream_copies_behind{stream="S"} 2`}},
}

// serve serves the page of one.
func serve(t *testing.T, f *fixed) *httptest.Server {
	p := NewPage(f, "r1", func() []Count {
		return []Count{Counter("own_total", "Its own.", 3), Gauge("own", "Its own, now.", 4)}
	})
	s := httptest.NewUnstartedServer(nil)
	done := make(chan error, 1)
	go func() { done <- p.Serve(s.Listener) }()
	t.Cleanup(func() {
		s.Listener.Close()
		<-done
	})
	s.URL = "http://" + s.Listener.Addr().String()
	return s
}

// get asks for a path, by that name of the host.
func get(t *testing.T, s *httptest.Server, path, host string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(b)
}

// The page, its JSON, its metrics and what status writes tell the same.
func TestFleets(t *testing.T) {
	for i := range fleets {
		c := &fleets[i]
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, &c.source)
			_, text := get(t, s, "/status.json", "")
			var v View
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			_, html := get(t, s, "/", "")
			if len(v.Problems) != len(c.problems) || (len(v.Problems) == 0) != strings.Contains(html, "All is well.") {
				t.Fatalf("%q, not %q; %s", v.Problems, c.problems, html)
			}
			for k, p := range v.Problems {
				if !strings.Contains(p, c.problems[k]) || !strings.Contains(html, `<p class="bad">`+p) {
					t.Errorf("%q, not %q; %s", p, c.problems[k], html)
				}
			}
			if len(v.Parties) != len(c.source.parties) || strings.Contains(html, "r1 (this page)") != strings.Contains(text, `"id": "r1"`) {
				t.Errorf("%d parties; %s", len(v.Parties), html)
			}
			var b strings.Builder
			if err := v.Text(&b); err != nil {
				t.Error(err)
			}
			_, metrics := get(t, s, "/metrics", "")
			for what, wants := range map[*string][]string{new(b.String()): c.text, &metrics: c.metrics} {
				for _, w := range wants {
					if !strings.Contains(*what, w) {
						t.Errorf("%q is missing in:\n%s", w, *what)
					}
				}
			}
			check(t, metrics)
		})
	}
}

// check has Prometheus's own tool read metrics.
func check(t *testing.T, metrics string) {
	if _, err := exec.LookPath("promtool"); err != nil {
		need.Skip(t, err)
	}
	c := exec.Command("promtool", "check", "metrics")
	c.Stdin = strings.NewReader(metrics)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// Who asks for a name that is none of this host's is told nothing, and no answer is kept or framed.
func TestHosts(t *testing.T) {
	s := serve(t, &fleets[0].source)
	for host, code := range map[string]int{"": 200, "localhost": 200, "localhost:80": 200, "[::1]:80": 200, "192.0.2.7": 200,
		"example.com": 421, "example.com:80": 421, "localhost.example.com": 421} {
		for _, path := range []string{"/", "/status.json", "/metrics", "/healthz"} {
			a, text := get(t, s, path, host)
			if a.StatusCode != code || (code != 200) != (text == "ask for an address, or localhost\n") {
				t.Errorf("%q, %s: %s, %.80s", host, path, a.Status, text)
			}
			if code == 200 && (a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff") {
				t.Errorf("%s: %v", path, a.Header)
			}
		}
	}
	if a, _ := get(t, s, "/nosuch", ""); a.StatusCode != http.StatusNotFound {
		t.Error(a.Status)
	}
}

// A size is told in three digits or so.
func TestSize(t *testing.T) {
	for n, want := range map[int64]string{-1: "-", 0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 3 << 29: "1.5 GiB", 1 << 62: "4096.0 PiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, not %s", n, got, want)
		}
	}
}
