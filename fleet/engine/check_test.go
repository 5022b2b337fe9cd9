package engine

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// whole is a record of an extended payload that is under way.
func whole() *Record {
	return &Record{TID: 7, State: Open, Owner: "o-1", Epoch: 2, Client: netip.MustParseAddrPort("192.0.2.7:4000"),
		Offered:   time.Unix(1700000000, 0).UTC(),
		Receivers: []Station{{ID: "r1", Addr: netip.MustParseAddrPort("192.0.2.1:4650"), Seg: 8192, Win: 64}},
		Bytes:     5000, Segment: 1200, Name: "report.pdf", Print: strings.Repeat("0a", 16)}
}

// A record with one thing in it that no release writes is told from any other, by what that is.
func TestRecordForged(t *testing.T) {
	if r, err := ParseRecord(whole().Marshal()); err != nil || !reflect.DeepEqual(r, whole()) {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, c := range []struct {
		forge func(*Record)
		want  string
	}{
		{func(r *Record) { r.TID = -7 }, "its number is negative"},
		{func(r *Record) { r.State = "done" }, `it has no state "done"`},
		{func(r *Record) { r.Owner = "../o" }, `its owner is no ID: "../o"`},
		{func(r *Record) { r.Client = netip.AddrPort{} }, "it has no client"},
		{func(r *Record) { r.Offered = time.Unix(1<<34, 0) }, "it was offered in the year"},
		{func(r *Record) { r.Name = strings.Repeat("n", 256) }, "a name of 256 bytes"},
		{func(r *Record) { r.Resumed = -1 }, "it took over a number that is negative"},
		{func(r *Record) { r.SHA256 = strings.Repeat("00", 33) }, "its digest"},
		{func(r *Record) { r.Print = "zz" }, "its digest"},
		{func(r *Record) { r.Receivers[0].ID = "../../etc/r1" }, `a receiver has no ID: "../../etc/r1"`},
		{func(r *Record) { r.Receivers[0].ID = "" }, "a receiver has no ID"},
		{func(r *Record) { r.Receivers[0].Addr = netip.AddrPort{} }, "receiver r1 has no address"},
		{func(r *Record) { r.Receivers[0].Seg = -1 }, "receiver r1 takes 64 segments of -1 bytes"},
		{func(r *Record) { r.Receivers[0].Win = 1 << 40 }, "receiver r1 takes"},
		{func(r *Record) { r.Segment = 0 }, "a payload of 5000 bytes in segments of 0"},
		{func(r *Record) { r.Segment = 1 }, "in segments of 1"},
		{func(r *Record) { r.Segment = 65001 }, "in segments of 65001"},
		{func(r *Record) { r.Bytes = -5000 }, "a payload of -5000 bytes"},
		{func(r *Record) { r.Bytes = 1 << 62 }, "a payload of 4611686018427387904 bytes"},
		{func(r *Record) { r.Bytes = 0 }, "a payload of 0 bytes in segments of 1200"},
		{func(r *Record) { r.Bytes, r.Segment = 0, 0 }, "it is open, and tells no size"},
		{func(r *Record) { r.Bytes, r.Segment, r.State = 0, 0, Settling }, "it is settling, and tells no size"},
		{func(r *Record) { r.Base = true }, "it is of the base protocol, and tells a size"},
		{func(r *Record) { r.Comment = strings.Repeat("c", MostRecord) }, "and 65536 are the most"},
	} {
		r := whole()
		c.forge(r)
		if got, err := ParseRecord(r.Marshal()); !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %s", r.Marshal(), got, err, c.want)
		}
	}
	for _, text := range []string{"", "{", "null", "[]", `{"tid":"x"}`, strings.Repeat("[", 1<<15)} {
		if r, err := ParseRecord([]byte(text)); !errors.Is(err, ErrRecord) {
			t.Errorf("%.20s: %+v, %v", text, r, err)
		}
	}
}

// The same of a party.
func TestPartyForged(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:4650")
	for _, c := range []struct {
		forge func(*Party)
		want  string
	}{
		{func(*Party) {}, ""},
		{func(p *Party) { p.Zone, p.Name = "Zürich 2", strings.Repeat("n", 255) }, ""},
		{func(p *Party) { p.Role = "king" }, `there is no role "king"`},
		{func(p *Party) { p.ID = "a/b" }, `it has no ID: "a/b"`},
		{func(p *Party) { p.Addr = netip.AddrPort{} }, "it has no address"},
		{func(p *Party) { p.Zone = "a\nb" }, "of more than one line"},
		{func(p *Party) { p.Name = "\x1b[2J" }, "of more than one line"},
		{func(p *Party) { p.Name = strings.Repeat("n", 256) }, "or too long"},
		{func(p *Party) { p.Seg = 1 << 20 }, "segments of 1048576 bytes"},
		{func(p *Party) { p.Seg = 99 }, "segments of 99 bytes"},
		{func(p *Party) { p.Win = -1 }, "it takes -1 segments"},
		{func(p *Party) { p.Start = "a b" }, "its start is none"},
		{func(p *Party) { p.Open = -1 }, "has -1 transactions"},
	} {
		p := &Party{Role: Receiver, ID: "r1", Addr: addr, Token: "T", Seg: 8192, Win: 64, Free: -1}
		c.forge(p)
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseParty(b)
		if c.want == "" && (err != nil || !reflect.DeepEqual(got, p)) ||
			c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %+v, %v; want %q", b, got, err, c.want)
		}
	}
}

// Whatever stands in a ledger, a record is refused, or can be written again, is then the same, and
// has nothing in it that leads out of the directory or that cannot be divided by.
func FuzzRecord(f *testing.F) {
	f.Add(whole().Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			if !errors.Is(err, ErrRecord) || r != nil {
				t.Errorf("%v, %+v", err, r)
			}
			return
		}
		again, err := ParseRecord(r.Marshal())
		if err != nil || string(again.Marshal()) != string(r.Marshal()) {
			t.Errorf("%s gives %+v, %v", r.Marshal(), again, err)
		}
		for _, s := range r.Receivers {
			if strings.ContainsAny(s.ID, "/.\x00") || s.ID == "" {
				t.Errorf("receiver %q", s.ID)
			}
		}
		if r.Bytes > 0 && (r.Bytes-1)/r.Segment < 0 || r.Bytes == 0 && r.State == Open {
			t.Errorf("%d bytes in segments of %d, %s", r.Bytes, r.Segment, r.State)
		}
	})
}

// Likewise of a registry.
func FuzzParty(f *testing.F) {
	f.Add([]byte(`{"role":"receiver","id":"r1","addr":"192.0.2.1:4650","token":"T","free":-1,"open":0}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseParty(b)
		if err != nil {
			return
		}
		if !Nameable(p.ID) || strings.ContainsAny(p.Zone+p.Name, "\n\x1b\x00") || !p.Addr.IsValid() {
			t.Errorf("%+v", p)
		}
	})
}
