package engine

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A record is read as it was written, and one with keys of a newer release too.
func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Record{
			TID:     rapid.Int64Min(0).Draw(t, "tid"),
			State:   rapid.SampledFrom([]State{Created, Open, Settling, Complete, Damaged, Kept, Void}).Draw(t, "state"),
			Owner:   rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`).Draw(t, "owner"),
			Epoch:   rapid.Uint64().Draw(t, "epoch"),
			Client:  netip.MustParseAddrPort("[2001:db8::1]:1234"),
			Offered: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "offered"), 0).UTC(),
			Name:    rapid.StringN(-1, -1, 255).Draw(t, "name"),
			Receivers: []Station{{ID: "a", Addr: netip.MustParseAddrPort("192.0.2.1:4650"),
				Seg: rapid.IntRange(0, 65000).Draw(t, "seg"), Win: 7}},
		}
		if r.Base = r.State == Settling || rapid.Bool().Draw(t, "base"); !r.Base || r.State == Open {
			r.Base, r.Bytes = false, rapid.Int64Range(1, 1<<46).Draw(t, "bytes")
			r.Segment = rapid.Int64Range(100, 65000).Draw(t, "segment")
		}
		b := r.Marshal()
		for _, b := range [][]byte{b, append(b[:len(b)-1:len(b)-1], `,"newer":[1]}`...)} {
			got, err := ParseRecord(b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, r) {
				t.Errorf("%s gives %+v, not %+v", b, got, r)
			}
		}
	})
	if r, err := ParseRecord([]byte(`{"tid":7}`)); err == nil {
		t.Errorf("a number that is not written as one of 63 bits is taken: %+v", r)
	}
}
