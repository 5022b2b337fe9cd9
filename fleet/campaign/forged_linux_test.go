package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
	"mdalp/wire"
)

// jetstream is the engine, as its operator has it. A busy one may be slow.
func (f *fleet) jetstream(t *testing.T) jetstream.JetStream {
	t.Helper()
	c, err := nats.Connect(f.engines.URL(), nats.Timeout(patience), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	js, err := jetstream.New(c, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// buckets are those of the ledger and the registry, as the engine's operator has them.
func (f *fleet) buckets(t *testing.T) (ledger, parties jetstream.KeyValue) {
	t.Helper()
	js := f.jetstream(t)
	var err error
	if ledger, err = js.KeyValue(t.Context(), "mdalp_ledger"); err != nil {
		t.Fatal(err)
	}
	if parties, err = js.KeyValue(t.Context(), "mdalp_parties"); err != nil {
		t.Fatal(err)
	}
	return ledger, parties
}

// said is all that a part has logged.
func (p *part) said(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// hears waits until a part has logged all of wants.
func (p *part) hears(t *testing.T, wants ...string) {
	t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		said := p.said(t)
		i := slices.IndexFunc(wants, func(w string) bool { return !strings.Contains(said, w) })
		if i < 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not say %q: %s", p.room.Name, wants[i], said)
		}
	}
}

// forgeries are records that no part writes, by what their keys end with.
func forgeries(client netip.AddrPort, receivers []*part) map[int64]string {
	text := func(tid int64, forge func(r *engine.Record)) string {
		r := &engine.Record{TID: tid, State: engine.Open, Owner: "gone", Epoch: 1, Client: client, Offered: time.Now().UTC(),
			Bytes: 5000, Segment: 1200}
		for _, p := range receivers {
			r.Receivers = append(r.Receivers, engine.Station{ID: p.room.Name, Seg: 8192, Win: 64,
				Addr: netip.AddrPortFrom(netip.MustParseAddr(p.room.Addr), 4650)})
		}
		forge(r)
		return string(r.Marshal())
	}
	return map[int64]string{
		1001: "{",
		1002: "\x00\xff\xfe garbage",
		1003: strings.Repeat("[", 60_000),
		1004: text(1004, func(r *engine.Record) { r.Segment = 0 }),
		1005: text(1005, func(r *engine.Record) { r.Bytes, r.Segment = 0, 0 }),
		1006: text(1006, func(r *engine.Record) { r.Bytes, r.Segment, r.State = 0, 0, engine.Settling }),
		1007: text(1007, func(r *engine.Record) { r.Bytes = -1 }),
		1008: text(1008, func(r *engine.Record) { r.Receivers[0].ID = "/../../outside" }),
		1009: text(1009, func(r *engine.Record) { r.State, r.SHA256 = engine.Complete, strings.Repeat("00", 500) }),
		1010: text(9999, func(*engine.Record) {}), // that of another
		1011: text(1011, func(r *engine.Record) { r.Comment = strings.Repeat("c", 60_000); r.State = "done" }),
	}
}

// plausible are records that a part might have written, of nothing that is there.
func plausible(all map[int64]string) map[int64]string {
	var r engine.Record
	json.Unmarshal([]byte(all[1010]), &r)
	out := make(map[int64]string)
	add := func(tid int64, forge func(r *engine.Record)) {
		is := r
		is.TID = tid
		forge(&is)
		out[tid] = strings.TrimSuffix(string(is.Marshal()), "}") + `,"later":{"a":[1,2]}}`
	}
	add(2001, func(*engine.Record) {})
	add(2002, func(r *engine.Record) { r.Bytes, r.Segment = 1<<46, 65000 })
	add(2003, func(r *engine.Record) { r.State, r.File = engine.Settling, "../../outside" })
	add(2004, func(r *engine.Record) { r.State, r.Base, r.Bytes, r.Segment = engine.Settling, true, 0, 0 })
	add(2005, func(r *engine.Record) { r.State, r.File = engine.Complete, "/etc/outside" })
	add(2006, func(r *engine.Record) { r.Receivers = r.Receivers[:1]; r.Receivers[0].ID = "nobody" })
	add(2007, func(r *engine.Record) { r.Print = strings.Repeat("00", 16) })
	return out
}

// Whatever the engine's operator writes into ledger and registry, all parts go on, nothing outside
// of the directory is touched, one line for each tells of it, and so does status; once it is gone
// all is well.
func TestForged(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		f := open(t, options{engines: 1, orchestrators: 2, receivers: 2, each: []string{"--drain", "3s"}})
		ledger, parties := f.buckets(t)
		outside := filepath.Dir(f.dir)
		canary := filepath.Join(outside, "outside")
		if err := os.WriteFile(canary, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		conn, err := net.ListenUDP("udp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		us := netip.AddrPortFrom(netip.MustParseAddr("10.77.0.254"), conn.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		forged := forgeries(us, f.receivers)
		put := func(kv jetstream.KeyValue, key, value string) {
			t.Helper()
			if _, err := kv.PutString(t.Context(), key, value); err != nil {
				t.Fatalf("%s: %v", key, err)
			}
		}
		for tid, value := range forged {
			put(ledger, fmt.Sprint("t.", tid), value)
		}
		sensible := plausible(forged)
		for tid, value := range sensible {
			put(ledger, fmt.Sprint("t.", tid), value)
		}
		put(ledger, "t.nosuch", "{}")
		for id, value := range map[string]string{"a": "{", "b": `{"role":"receiver","id":"../b"}`, "recv9": `{"role":"receiver",
			"id":"recv9","addr":"10.77.0.9:0","token":"T","seg":-5,"win":1}`} {
			put(parties, "receiver."+id, value)
		}
		// A transaction that is open is spoiled while its client sends.
		file, b := payload(t, 8<<20)
		spoiled := make(chan report, 1)
		go func() { spoiled <- f.send(t.Context(), file, "--rate", "16M", "--deadline", "12s") }()
		found := func(e engine.Entry) bool { return e.Record.Bytes == 8<<20 }
		for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
			open := f.unsettled(t)
			if i := slices.IndexFunc(open, found); i >= 0 {
				put(ledger, fmt.Sprint("t.", open[i].Record.TID), `{"tid":"x"}`)
				break
			}
			// On a busy machine it may be over before it is found.
			if len(spoiled) > 0 && time.Now().Before(end) {
				r := <-spoiled
				t.Logf("it is over: %+v", r)
				go func() { spoiled <- f.send(t.Context(), file, "--rate", "16M", "--deadline", "12s") }()
			}
			if time.Now().After(end) {
				t.Fatal("nothing is open that could be spoiled")
			}
		}
		keys := 0
		for tid := range forged {
			keys++
			for _, o := range f.orchestrators {
				o.hears(t, fmt.Sprint("key=t.", tid, " "))
			}
		}
		f.orchestrators[0].hears(t, "key=t.nosuch ", "key=receiver.a ", "key=receiver.b ", "key=receiver.recv9 ")
		ask(t, conn, f, forged)
		ask(t, conn, f, sensible)
		if r := <-spoiled; r.code == 0 && !f.stored(b) {
			t.Errorf("what was spoiled is told complete: %+v", r)
		}
		for _, args := range [][]string{nil, {"--base"}} {
			file, b := payload(t, 20_000)
			r := f.deliver(t.Context(), file, args...)
			for end := time.Now().Add(patience); !f.stored(b) && time.Now().Before(end); <-time.After(100 * time.Millisecond) {
			}
			if r.code != 0 || !f.stored(b) {
				t.Errorf("others do not go on: %v: %+v", args, r)
			}
		}
		var code int
		var said string
		if !eventually(func() bool {
			code, said = f.status(t, false)
			return code == 1 && strings.Contains(said, "records of the ledger make no sense")
		}) {
			t.Errorf("status ends with %d: %s", code, said)
		}
		after, err := filepath.Glob(filepath.Join(outside, "*"))
		strange := slices.DeleteFunc(after, func(name string) bool { // what the test itself makes has numbers
			return name == canary || strings.HasPrefix(filepath.Base(name), "0")
		})
		if _, gone := os.Stat(canary); err != nil || gone != nil || len(strange) > 0 {
			t.Errorf("outside of the directory: %q, %v, %v", strange, err, gone)
		}
		for _, kv := range []jetstream.KeyValue{ledger, parties} {
			all, err := kv.Keys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range all {
				if kv == ledger || strings.HasPrefix(k, "receiver.") && !strings.HasPrefix(k, "receiver.recv") {
					kv.Purge(t.Context(), k)
				}
			}
		}
		parties.Purge(t.Context(), "receiver.recv9")
		for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
			_, said := f.status(t, false)
			if !strings.Contains(said, "make no sense") && !strings.Contains(said, "cannot be read") {
				break
			}
			if time.Now().After(end) {
				t.Fatal(said)
			}
		}
		f.unhurt(t)
		for tid := range sensible {
			if strings.Contains(f.orchestrators[0].said(t), fmt.Sprint("key=t.", tid, " ")) {
				t.Errorf("a part has written what makes no sense: transaction %d", tid)
			}
		}
	})
}

// unsettled is what the ledger has that makes sense, and has not ended.
func (f *fleet) unsettled(t *testing.T) []engine.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all, err := f.look.Unsettled(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ask sends segments of transactions to the receivers, and manifests to the orchestrators.
func ask(t *testing.T, conn *net.UDPConn, f *fleet, tids map[int64]string) {
	t.Helper()
	for tid := range tids {
		for i, p := range append(f.orchestrators[:len(f.orchestrators):len(f.orchestrators)], f.receivers...) {
			to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(p.room.Addr), 4650))
			b := wire.AppendManifest(nil, tid, 7, &wire.Manifest{Bytes: 5000, Seg: 1200, Resume: wire.Absent})
			if i >= len(f.orchestrators) {
				b = append(wire.AppendSegmentHeader(nil, tid, 0, 1, 0, 0), bytes.Repeat([]byte("x"), 1200)...)
				if _, err := conn.WriteTo(wire.AppendData(nil, tid, 0, []byte("base")), to); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := conn.WriteTo(b, to); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// unhurt fails if a part has panicked, has ended, or ends with another code than 0 when it is asked to.
func (f *fleet) unhurt(t *testing.T) {
	t.Helper()
	for _, p := range append(f.orchestrators[:len(f.orchestrators):len(f.orchestrators)], f.receivers...) {
		if code := p.term(); code != 0 {
			t.Errorf("%s ends with %d", p.room.Name, code)
		}
		if said := p.said(t); strings.Contains(said, "goroutine ") || strings.Contains(said, "panic") {
			t.Errorf("%s: %s", p.room.Name, said)
		}
	}
}
