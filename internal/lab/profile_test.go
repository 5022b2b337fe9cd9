package lab

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/internal/sim"
)

func TestBuiltInProfiles(t *testing.T) {
	ps := Profiles()
	if ps[0].Name != "continents" {
		t.Fatalf("the first is %s", ps[0].Name)
	}
	files, err := builtin.ReadDir("profiles")
	if err != nil || len(files) != len(ps) {
		t.Errorf("%d files for %d profiles (%v)", len(files), len(ps), err)
	}
	for _, p := range ps {
		if p.About == "" {
			t.Errorf("%s: nothing about it", p.Name)
		}
		b, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(p.Name, b)
		if err != nil {
			t.Fatalf("%s: does not read what it wrote: %v", p.Name, err)
		}
		c, err := json.MarshalIndent(again, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(b), string(c)); d != "" {
			t.Errorf("%s: round trip:\n%s", p.Name, d)
		}
	}
}

// The profile capture has the figures of the captures, and continents a tenth of
// its times.
func TestCaptureFacts(t *testing.T) {
	want := []struct {
		addr, name               string
		ping, ack, least, latest float64 // ms
	}{
		{"177.71.168.45", "5th Receiver", 335.148, 1712, 1690, 1730},
		{"54.200.52.112", "4th Receiver", 162.844, 850, 830, 880},
		{"18.134.193.153", "2nd Receiver", 156.857, 860, 800, 880},
	}
	for name, factor := range map[string]float64{"capture": 1, "continents": 10} {
		p, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Receivers) != len(want) || p.Orchestrator.Address.String() != "18.139.29.142" {
			t.Fatalf("%s: %+v", name, p)
		}
		for i, w := range want {
			r := p.Receivers[i]
			there := r.Forward.Delay.Mean
			back := r.Backward.Delay
			for _, x := range []struct {
				what string
				got  float64
				want float64
			}{
				{"ping", float64(r.Ping.Delay.Mean), w.ping},
				{"ack", float64(there + back.Mean), w.ack},
				{"least ack", float64(there + back.Min), w.least},
				{"latest ack", float64(there + back.Max), w.latest},
			} {
				if math.Abs(x.got/1e6*factor-x.want) > 1e-4 {
					t.Errorf("%s: receiver %d: %s %v ms, want %v / %v", name, i, x.what, x.got/1e6, x.want, factor)
				}
			}
			if r.Address.String() != w.addr || r.Name != w.name {
				t.Errorf("%s: receiver %d is %v, %q", name, i, r.Address, r.Name)
			}
			if loss := 1 - (1-r.Forward.Loss.P)*(1-r.Backward.Loss.P); math.Abs(loss-0.083) > 1e-4 || r.Ping.Loss.P != 0 {
				t.Errorf("%s: receiver %d: round trips lose %v, pings %v", name, i, loss, r.Ping.Loss.P)
			}
		}
	}
	if p, err := Load("capture"); err != nil || time.Duration(p.Orchestrator.OfferDelay) != 200*time.Millisecond {
		t.Errorf("offer after %v (%v)", p.Orchestrator.OfferDelay, err)
	}
}

func TestMisleadingFacts(t *testing.T) {
	p, err := Load("misleading")
	if err != nil {
		t.Fatal(err)
	}
	a, b := p.Receivers[0], p.Receivers[1]
	if a.Ping.Delay.Mean != b.Ping.Delay.Mean {
		t.Error("the pings differ")
	}
	if 10*(a.Forward.Delay.Mean+a.Backward.Delay.Mean) != b.Forward.Delay.Mean+b.Backward.Delay.Mean {
		t.Error("acknowledgements are not 10:1")
	}
}

func TestProfileErrors(t *testing.T) {
	const orch = `"orchestrator":{"address":"192.0.2.1"}`
	one := func(r string) string { return "{" + orch + `,"receivers":[` + r + `]}` }
	tests := []struct{ name, json, want string }{
		{"empty", "", "the file ends too early"},
		{"cut", `{"name":"x",`, "the file ends too early"},
		{"syntax", "{\n\"name\": x\n}", "line 2: "},
		{"type", "{\n\n\"receivers\": 5}", "line 3: receivers can not be a number"},
		{"unknown field", `{"nmae":"x"}`, `unknown field "nmae"`},
		{"unknown field deep inside", one(`{"address":"192.0.2.2","forward":{"delay":{"mean":5}}}`), `unknown field "mean"`},
		{"time with a unit", one(`{"address":"192.0.2.2","die_after_ms":"5s"}`), "want a number of milliseconds"},
		{"more behind it", one(`{"address":"192.0.2.2"}`) + " {}", "something follows"},
		{"no receivers", "{" + orch + "}", "0 receivers"},
		{"too many receivers", one(strings.Repeat(`{"address":"192.0.2.2"},`, MaxReceivers) + `{"address":"192.0.2.2"}`), "257 receivers"},
		{"no orchestrator", `{"receivers":[{"address":"192.0.2.2"}]}`, "orchestrator: no address"},
		{"no address", one(`{}`), "receiver 1: no address"},
		{"name for an address", one(`{"address":"localhost"}`), "localhost"},
		{"twice", one(`{"address":"192.0.2.1"}`), "twice"},
		{"client's", one(`{"address":"127.0.0.1"}`), "client's"},
		{"multicast", one(`{"address":"224.0.0.1"}`), "can not be played"},
		{"link", one(`{"address":"192.0.2.2","backward":{"loss":{"p":2}}}`), "receiver 1: backward: loss p 2 is no probability"},
		{"access", `{"access":{"backward":{"queue_bytes":-1}},` + orch + `,"receivers":[{"address":"192.0.2.2"}]}`, "access: backward: extra_ms, bytes_per_second and queue_bytes can not be below 0"},
		{"below 0", one(`{"address":"192.0.2.2","die_after_ms":-1}`), "below 0"},
		{"revives first", one(`{"address":"192.0.2.2","die_after_ms":5,"revive_after_ms":5}`), "revives before it dies"},
		{"long name", one(`{"address":"192.0.2.2","name":"` + strings.Repeat("x", 201) + `"}`), "more than 200 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse("f.json", []byte(tt.json))
			if err == nil {
				t.Fatal("it was taken")
			}
			if s := err.Error(); !strings.Contains(s, tt.want) || strings.Contains(s, "\n") || !strings.HasPrefix(s, "profile f.json: ") {
				t.Errorf("%q, want one line with %q", s, tt.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.json")
	const text = `{"orchestrator":{"address":"192.0.2.1"},"receivers":[{"address":"2001:db8::2","dead":true,"refuse":true,"die_after_ms":5,"revive_after_ms":6}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if r := p.Receivers[0]; p.Name != file || !r.Dead || !r.Refuse || time.Duration(r.DieAfter) != 5*time.Millisecond {
		t.Errorf("%+v", p)
	}
	if p, err := Load(""); err != nil || p.Name != "continents" {
		t.Errorf("the default is %+v, %v", p, err)
	}
	if _, err := Load("moon"); err == nil || !strings.Contains(err.Error(), "built in are continents") {
		t.Errorf("no such profile: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "none.json")); !os.IsNotExist(err) {
		t.Errorf("no such file: %v", err)
	}
}

func FuzzProfile(f *testing.F) {
	for _, n := range names {
		b, err := builtin.ReadFile("profiles/" + n + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"orchestrator":{"address":"::2"},"receivers":[{"address":"1.2.3.4","forward":{"delay":{"ms":1e9}}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parse("f", b)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		// What is valid can be played, and is written as it is read.
		for _, x := range p.places() {
			for _, cfg := range []sim.LinkConfig{x.forward, x.backward, x.ping} {
				sim.NewLink(cfg, 1).Send(time.Hour, 100)
			}
		}
		if a := p.Access; a != nil {
			sim.NewLink(a.Forward, 1).Send(time.Hour, 100)
			sim.NewLink(a.Backward, 1).Send(time.Hour, 100)
		}
		out, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse("again", out); err != nil {
			t.Errorf("%s: %v", out, err)
		}
	})
}
