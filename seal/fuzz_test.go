package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"mdalp/wire"
)

// mutations are seeds for who forges: a datagram as it is, cut, longer, and with a changed
// header or end.
func mutations(f *testing.F, b []byte, more ...any) {
	add := func(b string) { f.Add(append([]any{[]byte(b)}, more...)...) }
	s := string(b)
	add(s)
	add(s[:len(s)-1])
	add(s[:len(s)/2])
	add(s + "0")
	add(strings.Replace(s, "7", "8", 1))
	add(strings.Replace(s, "Type:", "Type:0", 1))
	add(strings.Replace(s, ":0;", ":00;", 1))
	add(s[:len(s)-1] + "\x00")
	add("")
}

// FuzzOpen: an intent opens only if it has a message 1 of who has the key.
func FuzzOpen(f *testing.F) {
	k := Key{1, 2, 3}
	i, err := NewInitiator(k, chance(1))
	if err != nil {
		f.Fatal(err)
	}
	ring := ringOf(f, Key{9}, k)
	mutations(f, i.Intent(nil))
	f.Add([]byte("Type:0;"))
	f.Add([]byte("Type:0;DATA:{'key': '" + k.ID() + "', 'noise': '" + strings.Repeat("A", 64) + "'};"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Open(ring, b)
		if err != nil {
			if r != nil || !errors.Is(err, ErrHandshake) && !errors.Is(err, ErrUnknownKey) && !errors.Is(err, ErrForged) {
				t.Fatalf("%v, %v", r, err)
			}
			return
		}
		m, err := wire.Parse(i.Intent(nil))
		if err != nil {
			t.Fatal(err)
		}
		h, err := wire.ParseHandshake(m.Data)
		if err != nil || !bytes.Equal(h.Noise, r.message) || r.Name() != "k1" {
			t.Fatalf("%q opens with %s", b, r.Name())
		}
		out, _, err := r.Offer(nil, 7, []byte(plainOffer), chance(2))
		if len(out) > Amplification*len(b) || err != nil && !errors.Is(err, ErrTooLong) {
			t.Fatalf("%d bytes draw %d: %v", len(b), len(out), err)
		}
	})
}

// FuzzFinish: an answer opens only if it is of who has the key, and what does not open
// keeps none from opening that is.
func FuzzFinish(f *testing.F) {
	i, err := NewInitiator(Key{1, 2, 3}, chance(1))
	if err != nil {
		f.Fatal(err)
	}
	r, err := Open(ringOf(f, Key{1, 2, 3}), i.Intent(nil))
	if err != nil {
		f.Fatal(err)
	}
	offer, _, err := r.Offer(nil, 7, []byte(plainOffer), chance(2))
	if err != nil {
		f.Fatal(err)
	}
	wait, err := r.Wait(nil, time.Second, chance(3))
	if err != nil {
		f.Fatal(err)
	}
	mutations(f, offer)
	mutations(f, wait)
	f.Add([]byte(plainOffer))
	f.Add([]byte("Type:1;TID:7;DATA:{'noise': '" + strings.Repeat("A", 128) + "'};"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := i.Finish(b)
		switch {
		case err != nil && (a.Plain != nil || a.Session != nil || a.Wait != 0 || !errors.Is(err, ErrHandshake) && !errors.Is(err, ErrForged)):
			t.Fatalf("%+v, %v", a, err)
		case err == nil && a.Session != nil && (string(a.Plain) != plainOffer || a.Wait != 0):
			t.Fatalf("%q opens as %q", b, a.Plain)
		case err == nil && a.Session == nil && (a.Wait != time.Second || a.Plain != nil):
			t.Fatalf("%q opens as a wait of %v", b, a.Wait)
		}
		if a, err := i.Finish(offer); err != nil || string(a.Plain) != plainOffer {
			t.Fatalf("after %q the offer gives %q, %v", b, a.Plain, err)
		}
	})
}

// FuzzChannel: a datagram opens only as it was sealed, and once.
func FuzzChannel(f *testing.F) {
	client, _ := shake(f)
	sealed, err := client.Channel(0).Seal([]byte(head+"bytes"), len(head), 57)
	if err != nil {
		f.Fatal(err)
	}
	mutations(f, sealed, len(head), uint64(57))
	f.Add(bytes.Clone(sealed), len(head), uint64(56))
	f.Add(bytes.Clone(sealed), len(head)+1, uint64(57))
	f.Add(bytes.Clone(sealed), len(head), uint64(MaxNumber+57))
	f.Fuzz(func(t *testing.T, b []byte, data int, n uint64) {
		if data < 0 || data > len(b) {
			return
		}
		_, server := shake(t)
		c := server.Channel(0)
		was := bytes.Clone(b)
		out, err := c.Open(bytes.Clone(b), data, n)
		genuine := bytes.Equal(was, sealed) && data == len(head) && n == 57
		if genuine != (err == nil) || err == nil && string(out) != head+"bytes" || err != nil && !errors.Is(err, ErrForged) {
			t.Fatalf("%q with %d opens as %q, %v", was, n, out, err)
		}
		_, err = c.Open(bytes.Clone(sealed), len(head), 57)
		if genuine != errors.Is(err, ErrReplayed) || !genuine && err != nil {
			t.Fatalf("after %q: %v", was, err)
		}
	})
}
