package server

import (
	"testing"

	"mdalp/wire"
)

// What a receiver may be sent before it has acknowledged it fits into its receive buffer,
// of which a quarter is left for other things.
func TestWindow(t *testing.T) {
	two := []Receiver{{Addr: sao, Sock: 0}, {Addr: oregon, Sock: 1}}
	shared := []Receiver{{Addr: sao, Sock: 0}, {Addr: oregon, Sock: 0}}
	for _, tt := range []struct {
		name    string
		cfg     Config
		segment int64
		open    int
		want    int
	}{
		// 8,192 bytes and headers take 16 KiB and 768 bytes of 3/4 of 208 KiB.
		{"the kernel's default", Config{Receivers: two}, 8192, 1, 9},
		{"a larger buffer", Config{Receivers: two, Buffers: []int{8 << 20, 8 << 20}}, 8192, 1, 366},
		{"the least of them", Config{Receivers: two, Buffers: []int{8 << 20, 0}}, 8192, 1, 9},
		{"one buffer for two", Config{Receivers: shared, Buffers: []int{8 << 20}}, 8192, 1, 183},
		{"sockets that are not known", Config{Receivers: []Receiver{{Addr: sao, Sock: -1}, {Addr: oregon, Sock: -1}}}, 8192, 1, 9},
		{"small segments", Config{Receivers: two}, 1200, 1, 56},
		{"two transactions", Config{Receivers: two}, 1200, 2, 28},
		{"never less than two", Config{Receivers: two}, 65000, 40, 2},
		{"never more than the protocol has", Config{Receivers: one, Buffers: []int{1 << 40}}, 100, 1, wire.MaxWindow},
		{"as it is told", Config{Receivers: two, Window: 7}, 1200, 3, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.IntentRate, tt.cfg.OfferRate, tt.cfg.SourceConcurrent = -1, -1, 64
			r := startRig(t, epoch, tt.cfg)
			for k := range tt.open {
				r.to(orch, port(k+1), "Type:0;")
			}
			if got := r.s.window(tt.segment); got != tt.want || r.s.Open() != tt.open {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

// A server of the base protocol alone says so, and serves.
func TestBaseAlone(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7, Receivers: one})
	r.want(r.to(orch, client, "Type:0;"), offerOf(7))
	refused := func(seq int) string {
		return state(seq, "'refused', 'comment': 'only the base protocol is spoken here'")
	}
	r.want(r.to(orch, client, manifest(0, "'bytes': 5, 'seg': 100")), refused(0))
	r.want(r.to(sao, client, numbered(0, 0, 5)))
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x"), "Type:3;TID:7;SEQ:0;")
	// Now that it is base, a manifest means nothing.
	r.want(r.to(orch, client, manifest(1, "'bytes': 5, 'seg': 100")))
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:1;DATA:y"), "Type:3;TID:7;SEQ:1;")
	r.pass(DefaultIdle + 1e9)
	if res := r.result(); !res.Status || res.Bytes != 2 || res.Extended {
		t.Errorf("%+v", res)
	}
	if st := r.s.Stats(); st.WrongKind != 1 || st.Manifests != 2 || st.Announced != 0 {
		t.Errorf("%+v", st)
	}
	r.addsUp()
}
