package seal

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"mdalp/wire"
)

const head = "Type:2;TID:7;SEQ:41;NUM:57;DATA:"

func TestChannel(t *testing.T) {
	client, server := shake(t)
	sealed, err := client.Channel(0).Seal([]byte(head+"bytes"), len(head), 57)
	if err != nil || len(sealed) != len(head)+len("bytes")+Overhead || string(sealed[:len(head)]) != head {
		t.Fatalf("%q, %v", sealed, err)
	}
	open := func(c *Channel, b []byte, n uint64) (string, error) {
		out, err := c.Open(bytes.Clone(b), len(head), n)
		return string(out), err
	}
	flipped := func(at int) []byte { b := bytes.Clone(sealed); b[at] ^= 1; return b }
	for _, c := range []struct {
		name string
		ch   *Channel
		b    []byte
		n    uint64
		want error
	}{
		{"of the other direction", client.Channel(0), sealed, 57, ErrForged},
		{"of another channel", server.Channel(1), sealed, 57, ErrForged},
		{"of the orchestrator's", server.Channel(Orchestrator), sealed, 57, ErrForged},
		{"with another number", server.Channel(0), sealed, 56, ErrForged},
		{"with a changed header", server.Channel(0), flipped(len("Type:2;TID:7;SEQ:4")), 57, ErrForged},
		{"with a changed byte", server.Channel(0), flipped(len(head)), 57, ErrForged},
		{"with a changed tag", server.Channel(0), flipped(len(sealed) - 1), 57, ErrForged},
		{"cut", server.Channel(0), sealed[:len(sealed)-1], 57, ErrForged},
		{"cut to less than a tag", server.Channel(0), sealed[:len(head)+15], 57, ErrForged},
		{"empty", server.Channel(0), sealed[:len(head)], 57, ErrForged},
		{"with a number that is too large", server.Channel(0), sealed, MaxNumber, ErrForged},
		{"as it was sealed", server.Channel(0), sealed, 57, nil},
		{"once more", server.Channel(0), sealed, 57, ErrReplayed},
	} {
		out, err := open(c.ch, c.b, c.n)
		if !errors.Is(err, c.want) || err == nil && out != head+"bytes" || err != nil && out != "" {
			t.Errorf("%s: %q, %v, want %v", c.name, out, err, c.want)
		}
	}
}

func TestSealOnce(t *testing.T) {
	client, _ := shake(t)
	c := client.Channel(3)
	for _, x := range []struct {
		n    uint64
		want error
	}{{0, nil}, {0, ErrNumber}, {5, nil}, {5, ErrNumber}, {4, ErrNumber}, {6, nil}, {MaxNumber - 1, nil}, {MaxNumber - 1, ErrNumber}, {MaxNumber, ErrNumber}} {
		out, err := c.Seal([]byte(head+"x"), len(head), x.n)
		if !errors.Is(err, x.want) || err != nil && string(out) != head+"x" {
			t.Errorf("%d: %q, %v, want %v", x.n, out, err, x.want)
		}
	}
}

// TestWindow compares the ring with a set.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		seen, top := map[uint64]bool{}, uint64(0)
		for range rapid.IntRange(1, 400).Draw(t, "n") {
			n := rapid.OneOf(
				rapid.Uint64Range(top, top+3),
				rapid.Uint64Range(top-min(top, 2*Remembered), top+2*Remembered),
				rapid.Uint64Range(0, MaxNumber)).Draw(t, "number")
			fresh := w.fresh(n)
			switch {
			case fresh && seen[n]:
				t.Fatalf("%d is taken twice", n)
			case !fresh && !seen[n] && n+Remembered > top:
				t.Fatalf("%d is refused, %d was the largest", n, top)
			}
			if fresh {
				w.mark(n)
				seen[n], top = true, max(top, n)
			}
		}
	})
}

func TestChannelAllocatesNothing(t *testing.T) {
	client, server := shake(t)
	out, in := client.Channel(0), server.Channel(0)
	var buf [1500]byte
	n := uint64(0)
	got := testing.AllocsPerRun(1000, func() {
		b := append(buf[:0], head...)
		b = append(b, buf[200:1400]...)
		b, err := out.Seal(b, len(head), n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Open(b, len(head), n); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Open(b, len(head), n); err == nil {
			t.Fatal("taken twice")
		}
		n++
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// BenchmarkChannel is what a datagram costs: its bytes, and its header, which is parsed once
// more here.
func BenchmarkChannel(b *testing.B) {
	client, _ := shake(b)
	for _, size := range []int{1200, 8192} {
		data := append(make([]byte, 0, 1<<14), head...)
		data = append(data, make([]byte, size)...)
		b.Run(fmt.Sprintf("seal/bytes=%d", size), func(b *testing.B) {
			c := client.Channel(size)
			for n := uint64(0); b.Loop(); n++ {
				if _, err := c.Seal(data, len(head), n); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("parse/bytes=%d", size), func(b *testing.B) {
			for b.Loop() {
				if _, err := wire.Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
