package icmp

import (
	"bytes"
	"net/netip"
	"testing"
)

// FuzzReceive throws messages at a Prober in the middle of its work. who picks
// the sender: hosts A, B, C or a stranger. Nothing but the exact reply from the
// right host may count, and that once.
func FuzzReceive(f *testing.F) {
	hosts := []netip.Addr{hostA, hostB, hostC}
	begin := func() (*Prober, []echo) {
		p := NewProber(epoch, Config{Count: 2, ID: 7}, hosts)
		return p, drain(p, epoch) // one of two rounds is sent
	}
	_, es := begin()
	for i, e := range es {
		f.Add(byte(i), e.reply())
		f.Add(byte(i+1), e.reply())
	}
	a := es[0].reply()
	f.Add(byte(0), join(header4, a))
	f.Add(byte(0), join([]byte{0x46}, header4[1:3], []byte{48}, header4[4:], make([]byte, 4), a))
	f.Add(byte(0), join([]byte{0x4f}, header4[1:], a))
	f.Add(byte(0), es[0].b)
	f.Add(byte(0), with(a, 15, 1))
	f.Add(byte(1), with(es[1].reply(), 8, 0xff))
	f.Add(byte(1), reply6)
	f.Add(byte(2), reply4)
	f.Add(byte(3), []byte{})

	stranger := netip.MustParseAddr("198.51.100.1")
	f.Fuzz(func(t *testing.T, who byte, b []byte) {
		p, es := begin()
		from := append(hosts, stranger)[who%4]
		given := bytes.Clone(b)
		o := p.Receive(ms(1), from, b)
		if !bytes.Equal(b, given) {
			t.Fatal("the message was changed")
		}
		received := 0
		for i := range hosts {
			received += p.Stats(i).Received
		}
		switch o {
		case Counted:
			if received != 1 || who%4 == 3 {
				t.Fatalf("%d received, from %v", received, from)
			}
			// Identifier, sequence number and IP header may differ; the data may not.
			if want := es[who%4].b[headerLen:]; !bytes.Contains(b, want) {
				t.Fatalf("%x counts, without %x", b, want)
			}
			if again := p.Receive(ms(2), from, b); again != Duplicate {
				t.Fatalf("the same again is %v", again)
			}
		case Foreign, Malformed:
			if received != 0 {
				t.Fatalf("%v, but %d received", o, received)
			}
			if again := p.Receive(ms(2), from, b); again != o {
				t.Fatalf("%v, and the same again is %v", o, again)
			}
		default:
			t.Fatalf("%v at first sight", o)
		}
	})
}
