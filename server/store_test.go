package server

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mdalp/wire"
)

// The index against a plain map.
func TestIndexProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x Index
		model := make(map[int64]int)
		high := int64(0)
		seqs := rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64Range(60, 70), rapid.Int64Range(4090, 4100), rapid.Int64Range(0, 20000))
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			seq := seqs.Draw(t, "seq")
			high = max(high, seq+1)
			if rapid.IntRange(0, 9).Draw(t, "note") == 0 {
				x.Note(seq)
				continue
			}
			_, had := model[seq]
			n := rapid.IntRange(1, 100).Draw(t, "n")
			if x.Add(seq, n, uint32(n)) == had {
				t.Fatalf("Add(%d) = %v", seq, had)
			}
			if !had {
				model[seq] = n
			}
		}
		var bytes, prefix int64
		for _, n := range model {
			bytes += int64(n)
		}
		for ; model[prefix] != 0; prefix++ {
		}
		var missing []wire.Range
		for seq := range high + 100 {
			if x.Has(seq) != (model[seq] != 0) {
				t.Fatalf("Has(%d) = %v", seq, x.Has(seq))
			}
			if x.Has(seq) && x.Sum(seq) != uint32(model[seq]) {
				t.Fatalf("Sum(%d) = %d", seq, x.Sum(seq))
			}
			if seq >= high || model[seq] != 0 {
				continue
			}
			if k := len(missing) - 1; k >= 0 && missing[k].Last == seq-1 {
				missing[k].Last = seq
			} else {
				missing = append(missing, wire.Range{First: seq, Last: seq})
			}
		}
		if x.Segments() != int64(len(model)) || x.Bytes() != bytes || x.Prefix() != prefix || x.High() != high {
			t.Fatalf("%d segments, %d bytes, prefix %d, high %d", x.Segments(), x.Bytes(), x.Prefix(), x.High())
		}
		if x.Whole() != (len(model) > 0 && missing == nil) {
			t.Fatalf("whole %v", x.Whole())
		}
		if d := cmp.Diff(missing, x.Missing(nil, 1<<20)); d != "" {
			t.Fatal(d)
		}
		if some := x.Missing(nil, 2); len(some) != min(2, len(missing)) {
			t.Fatalf("%d ranges, at most 2 asked for", len(some))
		}
		if x.Has(-1) {
			t.Fatal("-1 is stored")
		}
		x.compact()
		for seq := range high + 100 {
			if x.Has(seq) != (model[seq] != 0) {
				t.Fatalf("compacted, Has(%d) = %v", seq, x.Has(seq))
			}
			if x.Has(seq) && x.Sum(seq) != uint32(model[seq]) {
				t.Fatalf("compacted, Sum(%d) = %d", seq, x.Sum(seq))
			}
		}
	})
}

// stores are the two kinds of store, and how a payload is read from them.
func stores(t *testing.T) (names []string, make map[string]func() (Store, func(Result) (string, bool))) {
	return []string{"memory", "dir"}, map[string]func() (Store, func(Result) (string, bool)){
		"memory": func() (Store, func(Result) (string, bool)) {
			m := new(Memory)
			return m, func(r Result) (string, bool) { b, ok := m.Payload(r.TID); return string(b), ok }
		},
		"dir": func() (Store, func(Result) (string, bool)) {
			return newDir(t, t.TempDir()), func(r Result) (string, bool) { b, err := os.ReadFile(r.Path); return string(b), err == nil }
		},
	}
}

// In whatever order segments come, however often: the payload is the same.
func TestReassemblyProperty(t *testing.T) {
	kinds, open := stores(t)
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 7, 100, 1400, 60000}).Draw(rt, "limit")
		lengths := rapid.SliceOfN(rapid.IntRange(1, min(limit, 300)), 1, 60).Draw(rt, "lengths")
		var payload string
		var gs []segment
		for i, n := range lengths {
			data := string(random(n + i)[i:])
			payload += data
			gs = append(gs, segment{i % 3, int64(i), data})
		}
		arrivals := rapid.Permutation(gs).Draw(rt, "order")
		for range rapid.IntRange(0, 20).Draw(rt, "duplicates") {
			g := rapid.SampledFrom(gs).Draw(rt, "which")
			g.to = rapid.IntRange(0, 2).Draw(rt, "to")
			arrivals = slices.Insert(arrivals, rapid.IntRange(0, len(arrivals)).Draw(rt, "where"), g)
		}
		var expect *Payload
		if rapid.Bool().Draw(rt, "expect") {
			expect = &Payload{int64(len(payload)), sha256.Sum256([]byte(payload))}
		}
		store, read := open[rapid.SampledFrom(kinds).Draw(rt, "store")]()
		r := newRig(t, Config{FirstTID: 1, SegmentLimit: limit, Store: store, Expect: expect})
		r.to(orch, client, "Type:0;")
		for _, g := range arrivals {
			r.want(r.to(three[g.to].Addr, client, g.message(1)), fmt.Sprintf("Type:3;TID:1;SEQ:%d;", g.seq))
		}
		r.pass(DefaultIdle + time.Second)
		res := r.result()
		if got, ok := read(res); !ok || got != payload {
			rt.Fatalf("%d bytes, want %d", len(got), len(payload))
		}
		var bytes, segments int64
		for _, sh := range res.Receivers {
			bytes += sh.Bytes
			segments += sh.Segments
		}
		if !res.Complete || res.SHA256 != sha256.Sum256([]byte(payload)) || bytes != res.Bytes || segments != res.Segments ||
			segments != int64(len(gs)) || int(r.s.Stats().Duplicates) != len(arrivals)-len(gs) {
			rt.Fatalf("%+v", res)
		}
		r.addsUp()
	})
}

// A payload of more than one block, chunk and page.
func TestLargePayload(t *testing.T) {
	payload := random(1_000_003)
	gs := cut(payload, 400_000, 300_001, 300_002)
	kinds, open := stores(t)
	for _, kind := range kinds {
		store, read := open[kind]()
		r := newRig(t, Config{FirstTID: 1, Store: store, Expect: &Payload{int64(len(payload)), sha256.Sum256(payload)}})
		r.to(orch, client, "Type:0;")
		for i := range gs {
			g := gs[(i*7919)%len(gs)]
			r.to(three[g.to].Addr, client, g.message(1))
		}
		res := r.result()
		if got, ok := read(res); !ok || got != string(payload) || !res.Status {
			t.Errorf("%s: %d bytes, %+v", kind, len(got), res)
		}
	}
}

// An intent that the store cannot take a transaction for gets no offer.
func TestStoreCannotCreate(t *testing.T) {
	path := t.TempDir() + "/store"
	var log strings.Builder
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Store: newDir(t, path), Log: textLog(&log)})
	r.want(r.to(orch, client, "Type:0;"), offerOf(1))
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	// Another of that name is not ours: we have no lock of it.
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	r.want(r.to(orch, stranger, "Type:0;"))
	if st := r.s.Stats(); st.NotStarted != 1 || r.s.Open() != 1 || !strings.Contains(log.String(), path) {
		t.Errorf("%+v %s", st, &log)
	}
	r.addsUp()
}

// A line for each step of a transaction.
func TestLog(t *testing.T) {
	var log strings.Builder
	r := newRig(t, Config{Receivers: one, FirstTID: 3740, Log: textLog(&log), Expect: &Payload{1, sha256.Sum256([]byte("x"))}})
	r.to(orch, client, "Type:0;")
	r.now = r.now.Add(time.Second)
	r.to(sao, client, "Type:2;TID:3740;SEQ:0;DATA:x")
	want := `level=INFO msg=intent client=203.0.113.7:40000 open=0 waiting=0
level=INFO msg=offer tid=3740 client=203.0.113.7:40000 receivers=1
level=INFO msg="first segment" tid=3740 client=203.0.113.7:40000 receiver=177.71.168.45:4650 bytes=1 after=1s
level=INFO msg="transaction settled" tid=3740 client=203.0.113.7:40000 status=true comment="Transaction completed!" bytes=1 bytes_per_second=1 elapsed=1s
`
	if log.String() != want {
		t.Errorf("log %q, want %q", &log, want)
	}
}
