package mdalp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/internal/pcapng"
	"mdalp/loop"
)

// here is the address that the tests send from.
var here = netip.MustParseAddr("172.31.43.71")

// tapped starts a session with a capture. Its UDP socket is bound to a port alone, and
// that for IPv4 echoes to the identifier id, if not 0.
func tapped(t *testing.T, size int, cfg Config, id uint16) (*bench, *tap) {
	t.Helper()
	b := start(t, size, cfg)
	unspecified := netip.IPv4Unspecified()
	return b, newTap(b.s, cfg.Capture, [3]netip.AddrPort{netip.AddrPortFrom(unspecified, 49710), netip.AddrPortFrom(unspecified, id)},
		func(to netip.Addr) netip.Addr { return here })
}

// drain takes all datagrams that are due.
func drain(h loop.Handler, now time.Time) (out []sent) {
	for {
		var e loop.Envelope
		p, ok := h.Transmit(now, &e, nil)
		if !ok {
			return out
		}
		out = append(out, sent{e.Sock, e.Peer.String(), string(p)})
	}
}

// lines gives a capture as text: ms, direction, ends, comment.
func lines(t *testing.T, capture []byte) (all []string) {
	t.Helper()
	r, err := pcapng.NewReader(bytes.NewReader(capture))
	if err != nil {
		t.Fatal(err)
	}
	for {
		var d pcapng.Datagram
		if err := r.Next(&d); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		arrow := map[pcapng.Dir]string{pcapng.In: "<", pcapng.Out: ">"}[d.Dir]
		mine, peer := d.Src, d.Dst
		if d.Dir == pcapng.In {
			mine, peer = peer, mine
		}
		if want := map[pcapng.Proto]uint16{pcapng.UDP: 49710, pcapng.ICMP: 0}[d.Proto]; mine != netip.AddrPortFrom(here, want) {
			t.Errorf("this end is %v", mine)
		}
		all = append(all, fmt.Sprintf("%v %s %v: %s", float64(d.At.Sub(t0))/1e6, arrow, peer, d.Comment))
	}
}

// TestTap writes down a transfer in which much happens.
func TestTap(t *testing.T) {
	var capture bytes.Buffer
	b, tap := tapped(t, 250, Config{Capture: &capture, IntentRetry: 5 * time.Millisecond, Balance: BalanceEqual, RTO: RTO(time.Second)}, 0)
	receive := func(at float64, from netip.AddrPort, text string) {
		tap.Receive(ms(at), &loop.Envelope{Peer: from, At: ms(at)}, []byte(text))
	}
	stranger := netip.MustParseAddrPort("192.0.2.1:7")
	drain(tap, ms(0))
	tap.Expire(ms(7))
	drain(tap, ms(7))
	receive(8, stranger, "Type:1;TID:3740;DATA:[];")
	receive(9, orchestrator, "what")
	receive(10, orchestrator, captured)
	if got := drain(tap, ms(10)); len(got) != 3 {
		t.Fatalf("%d segments go out", len(got))
	}
	receive(20, receiverA, "Type:3;TID:3740;SEQ:0;")
	receive(21, receiverA, "Type:3;TID:3740;SEQ:0;")
	receive(22, receiverB, "Type:3;TID:3740;SEQ:7;")
	receive(23, receiverB, "Type:3;TID:1;SEQ:1;")
	receive(24, receiverB, "Type:3;TID:3740;SEQ:x")
	receive(25, receiverB, "Type:3;TID:3740;SEQ:1;")
	tap.Expire(ms(1012))
	drain(tap, ms(1012))
	receive(1020, receiverC, "Type:3;TID:3740;SEQ:2;")
	drain(tap, ms(1020))
	tap.close()
	if err := b.ended(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0 > 18.139.29.142:4650: intent",
		"7 > 18.139.29.142:4650: intent, try 2",
		"8 < 192.0.2.1:7: dropped: from a stranger",
		"9 < 18.139.29.142:4650: dropped: malformed",
		"10 < 18.139.29.142:4650: offer",
		"10 > 177.71.168.45:4650: receiver 1, SEQ 0",
		"10 > 54.200.52.112:4650: receiver 2, SEQ 1",
		"10 > 18.134.193.153:4650: receiver 3, SEQ 2",
		"20 < 177.71.168.45:4650: receiver 1, ack of SEQ 0",
		"21 < 177.71.168.45:4650: receiver 1, duplicate ack of SEQ 0",
		"22 < 54.200.52.112:4650: receiver 2, ack of SEQ 7, which was not sent to it",
		"23 < 54.200.52.112:4650: receiver 2, dropped: not awaited",
		"24 < 54.200.52.112:4650: dropped: malformed",
		"25 < 54.200.52.112:4650: receiver 2, ack of SEQ 1",
		"1012 > 18.134.193.153:4650: receiver 3, SEQ 2, try 2",
		"1020 < 18.134.193.153:4650: receiver 3, ack of SEQ 2",
	}
	if diff := cmp.Diff(want, lines(t, capture.Bytes())); diff != "" {
		t.Error(diff)
	}
}

func TestTapBadOffer(t *testing.T) {
	var capture bytes.Buffer
	b, tap := tapped(t, 250, Config{Capture: &capture}, 0)
	drain(tap, ms(0))
	tap.Receive(ms(1), &loop.Envelope{Peer: orchestrator, At: ms(1)}, []byte("Type:1;TID:1;DATA:[evil()]"))
	tap.close()
	if err := b.ended(); !errors.Is(err, ErrBadOffer) {
		t.Fatal(err)
	}
	if got := lines(t, capture.Bytes()); len(got) != 2 || got[1] != "1 < 18.139.29.142:4650: bad offer" {
		t.Errorf("%q", got)
	}
}

// TestTapEchoes writes down pings over both kinds of sockets: a raw one gives the IP
// header with an answer, on a datagram one the kernel chooses the identifier.
func TestTapEchoes(t *testing.T) {
	for _, id := range []uint16{0, 0xbeef} {
		var capture bytes.Buffer
		b, tap := tapped(t, 250, Config{Capture: &capture, Echoes: 2}, id)
		drain(tap, ms(0))
		tap.Receive(ms(10), &loop.Envelope{Peer: orchestrator, At: ms(10)}, []byte(captured))
		for now := ms(10); b.s.phase == PhasePinging; now, _ = tap.Next() {
			tap.Expire(now)
			for _, echo := range drain(tap, now) {
				if echo.Data[4:6] != "\x01\x00" { // what the session says stays as it is
					t.Errorf("the identifier is %x", echo.Data[4:6])
				}
				reply := answer([]byte(echo.Data))
				if id == 0 {
					from, to := netip.MustParseAddrPort(echo.To).Addr().As4(), here.As4()
					head := []byte{0x45, 0, 0, byte(20 + len(reply)), 0, 0, 0, 0, 60, 1, 0, 0}
					reply = append(append(append(head, from[:]...), to[:]...), reply...)
				}
				tap.Receive(now, &loop.Envelope{Sock: echo.Sock, Peer: netip.MustParseAddrPort(echo.To), At: now.Add(time.Millisecond)}, reply)
			}
		}
		tap.close()
		want := []string{"0 > 18.139.29.142:4650: intent", "10 < 18.139.29.142:4650: offer"}
		for n, at := range []string{"10", "11"} {
			for i, r := range []string{"177.71.168.45:0", "54.200.52.112:0", "18.134.193.153:0"} {
				want = append(want, fmt.Sprintf("%s > %s: receiver %d, echo %d of 2", at, r, i+1, n+1))
			}
			next := map[string]string{"10": "11", "11": "12"}[at]
			for i, r := range []string{"177.71.168.45:0", "54.200.52.112:0", "18.134.193.153:0"} {
				want = append(want, fmt.Sprintf("%s < %s: receiver %d, answer to echo %d of 2", next, r, i+1, n+1))
			}
		}
		if diff := cmp.Diff(want, lines(t, capture.Bytes())); diff != "" {
			t.Errorf("identifier %#x: %s", id, diff)
		}
		r, err := pcapng.NewReader(&capture)
		if err != nil {
			t.Fatal(err)
		}
		var d pcapng.Datagram
		for r.Next(&d) == nil {
			if d.Proto != pcapng.ICMP || d.Dir != pcapng.Out {
				continue
			}
			wire := id
			if id == 0 {
				wire = 0x0100 // the session's own
			}
			if got := uint16(d.Data[4])<<8 | uint16(d.Data[5]); got != wire || pcapng.Checksum(d.Data) != 0 {
				t.Errorf("echo with identifier %#x, checksum over all %#x", got, pcapng.Checksum(d.Data))
			}
		}
	}
}

// failing is a disk that is full after some bytes.
type failing struct{ left int }

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errors.New("no space left")
	}
	return len(b), nil
}

// TestTapError ends the capture with one warning, and not the transfer.
func TestTapError(t *testing.T) {
	for _, room := range []int{0, 300, 700} {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn}))
		b, tap := tapped(t, 5000, Config{Capture: &failing{room}, Logger: log, Balance: BalanceEqual}, 0)
		drain(tap, ms(0))
		tap.Receive(ms(1), &loop.Envelope{Peer: orchestrator, At: ms(1)}, []byte(captured))
		now := ms(2)
		for n := 0; b.s.phase == PhaseSending; n++ {
			now = now.Add(600 * time.Millisecond) // a flush every other time
			for _, p := range drain(tap, now) {
				seq, _, _ := strings.Cut(strings.TrimPrefix(p.Data, "Type:2;TID:3740;SEQ:"), ";")
				tap.Receive(now, &loop.Envelope{Peer: netip.MustParseAddrPort(p.To), At: now}, []byte("Type:3;TID:3740;SEQ:"+seq))
			}
			if n > 1000 {
				t.Fatal("it does not end")
			}
		}
		tap.close()
		if err := b.ended(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(text.String(), "the capture ends here"); n != 1 {
			t.Errorf("room for %d bytes: %d warnings: %s", room, n, &text)
		}
	}
}

// TestTapServer counts receivers as the offer does, also when one gets everything.
func TestTapServer(t *testing.T) {
	var capture bytes.Buffer
	_, tap := tapped(t, 50, Config{Capture: &capture, Balance: BalanceNone, Receiver: 2}, 0)
	drain(tap, ms(0))
	tap.Receive(ms(1), &loop.Envelope{Peer: orchestrator, At: ms(1)}, []byte(captured))
	drain(tap, ms(1))
	tap.close()
	if got := lines(t, capture.Bytes()); len(got) != 3 || got[2] != "1 > 54.200.52.112:4650: receiver 2, SEQ 0" {
		t.Errorf("%q", got)
	}
}

func TestSourceTo(t *testing.T) {
	for to, want := range map[string]string{"127.0.0.1": "127.0.0.1", "127.5.6.7": "127.0.0.1", "::1": "::1", "fe80::1%nosuch": "::"} {
		if got := localTo(netip.MustParseAddr(to)); got.String() != want {
			t.Errorf("to %s from %v, want %s", to, got, want)
		}
	}
}
