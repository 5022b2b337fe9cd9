package main

import (
	"testing"
	"time"

	"mdalp/wire"
)

// datagram makes an IPv4 packet with a UDP datagram.
func datagram(payload []byte) []byte {
	b := make([]byte, 28, 28+len(payload))
	b[0], b[9] = 0x45, 17
	return append(b, payload...)
}

func TestSegmentOf(t *testing.T) {
	data := wire.AppendData(nil, 7, 41, make([]byte, 90))
	if got, want := segmentOf(datagram(data)), (segment{7, 41, 90}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	fragment := datagram(data)
	fragment[7] = 1
	tcp := datagram(data)
	tcp[9] = 6
	for _, b := range [][]byte{fragment, tcp, datagram(wire.AppendAck(nil, 7, 41)), datagram(nil), datagram([]byte("noise"))} {
		if got := segmentOf(b); got != (segment{}) {
			t.Errorf("%q: %+v, want none", b, got)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 40), {0x4f, 19: 0}} {
		if isIPv4(b) {
			t.Errorf("%x is taken for IPv4", b)
		}
	}
}

func TestMeter(t *testing.T) {
	m := newMeter(2)
	at := func(n int) time.Duration { return time.Duration(n) * time.Second }
	for i, seq := range []int64{0, 1, 200, 1} {
		m.offered(at(3+i), segment{7, seq, 10})
	}
	m.offered(at(1), segment{})
	m.delivered(at(8), 0, segment{7, 0, 10})
	m.delivered(at(9), 1, segment{7, 200, 10})
	m.delivered(at(10), 0, segment{7, 0, 10}) // a repetition ends nothing
	if m.began != at(3) || m.repeated != 1 || m.bytes[0] != 10 || m.bytes[1] != 10 || m.ended[0] != at(8) || m.ended[1] != at(9) {
		t.Errorf("%+v", m)
	}
}

func TestRows(t *testing.T) {
	for _, r := range rows {
		p, err := r.complete()
		if err != nil {
			t.Error(err)
			continue
		}
		for _, path := range p.paths {
			for _, l := range []link{path.up, path.down} {
				if len(l.rates) == 0 || l.rates[0].from != 0 || l.queue < mtu {
					t.Errorf("%s: a link without a rate from the start, or room for a packet: %+v", p.name, l)
				}
			}
		}
		if r.size <= 0 || r.receivers <= 0 {
			t.Errorf("%+v", r)
		}
	}
	r := row{network: "three", seconds: 8}
	for range 2 {
		if _, err := r.complete(); err != nil || r.size != 125_000_000 || r.receivers != 3 {
			t.Errorf("%+v, %v: want 125 MB for 3 receivers", r, err)
		}
	}
	for _, r := range []row{{network: "none"}, {network: "three", fair: true}, {network: "three", receivers: 2}} {
		if _, err := r.complete(); err == nil {
			t.Errorf("%+v makes sense", r)
		}
	}
}
