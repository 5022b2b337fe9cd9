package trace_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"mdalp/internal/pcapng"
	"mdalp/internal/trace"
	"mdalp/seal"
	"mdalp/wire"
)

// said is step with the orchestrator: ">" goes to it, "<" comes from it.
func said(ms float64, dir byte, text string) pcapng.Datagram {
	d := step(ms, '+', text)
	if d.Dst = orchestrator; dir == '<' {
		d.Src, d.Dst = d.Dst, d.Src
	}
	return d
}

// recorded makes a sealed transaction of three segments to two receivers, the last of which
// was changed on the way and is sent again, and what opens it.
func recorded(t *testing.T) (all []pcapng.Datagram, key seal.Key, secret *seal.Secret) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{7})
	key, err := seal.NewKey(random)
	if err != nil {
		t.Fatal(err)
	}
	var ring seal.Keyring
	ring.Add("office", key)
	i, err := seal.NewInitiator(key, random)
	if err != nil {
		t.Fatal(err)
	}
	r, err := seal.Open(&ring, i.Intent(nil))
	if err != nil {
		t.Fatal(err)
	}
	plain := fmt.Appendf(nil, "Type:1;TID:7;DATA:[{'ip_address': '%v', 'name': 'a', 'seg': 200, 'win': 9}, {'ip_address': '%v', 'seg': 200, 'win': 9}]",
		receivers[0].Addr(), receivers[1].Addr())
	wait, err := r.Wait(nil, 1e9, random)
	if err != nil {
		t.Fatal(err)
	}
	offer, server, err := r.Offer(nil, 7, plain, random)
	if err != nil {
		t.Fatal(err)
	}
	a, err := i.Finish(offer)
	if err != nil {
		t.Fatal(err)
	}
	put := func(ms float64, dir byte, place int, head, data string, n uint64) {
		s, channel := a.Session, place
		if dir == '-' || dir == '<' {
			s = server
		}
		if dir == '>' || dir == '<' {
			channel = seal.Orchestrator
		}
		b, err := s.Channel(channel).Seal([]byte(head+data), len(head), n)
		if err != nil {
			t.Fatal(err)
		}
		d := said(ms, dir, string(b))
		if channel == place {
			d = to(place, step(ms, dir, string(b)))
		}
		all = append(all, d)
	}
	all = append(all, said(0, '>', string(i.Intent(nil))), said(1, '<', string(wait)), said(2, '>', string(i.Intent(nil))),
		said(3, '<', string(offer)))
	put(4, '>', 0, "Type:4;TID:7;SEQ:0;DATA:", "{'bytes': 450, 'seg': 200, 'name': 'secret'};", 0)
	put(5, '<', 0, "Type:5;TID:7;SEQ:0;DATA:", "{'state': 'open', 'have': ''};", 0)
	text := string(bytes.Repeat([]byte("x"), 200))
	put(10, '+', 0, "Type:2;TID:7;SEQ:0;NUM:0;DATA:", text, 0)
	put(11, '+', 0, "Type:2;TID:7;SEQ:1;NUM:1;DATA:", text, 1)
	put(12, '+', 1, "Type:2;TID:7;SEQ:2;NUM:0;DATA:", text[:50], 0)
	changed := all[len(all)-1]
	changed.Data[len(changed.Data)-1] ^= 1
	put(20, '-', 0, "Type:3;TID:7;SEQ:0;NUM:1;DATA:", "0-1;", 0)
	put(30, '+', 1, "Type:2;TID:7;SEQ:2;NUM:1;DATA:", text[:50], 1)
	put(40, '-', 1, "Type:3;TID:7;SEQ:0;NUM:1;DATA:", "1;", 0)
	put(41, '>', 0, "Type:4;TID:7;SEQ:1;DATA:", "{'bytes': 450, 'seg': 200, 'sha256': 'ab'};", 1)
	put(42, '<', 0, "Type:5;TID:7;SEQ:1;DATA:", "{'state': 'complete'};", 1)
	return all, key, a.Session.Secret(7, a.Plain)
}

// TestSealed tells a transaction from outside, with the key, and with what opens it. Other
// secrets of the same TID are in the way of nothing.
func TestSealed(t *testing.T) {
	all, key, secret := recorded(t)
	ring, other := new(seal.Keyring), new(seal.Keyring)
	ring.Add("a", seal.Key{1})
	ring.Add("b", key)
	other.Add("a", seal.Key{1})
	stranger := &seal.Secret{TID: 7, Client: [32]byte{1}, Offer: secret.Offer}
	type seen struct {
		Complete, Opened, Known, Named  bool
		Segments, Bytes, Acked, Changed int64
		Size                            int64
		Standing                        wire.Standing
		Names                           string
		Manifests, States, Intents      int
	}
	outside := seen{Segments: 3, Bytes: 450, Acked: 2, Standing: 0, Manifests: 2, States: 2, Intents: 2}
	known := outside
	known.Known = true
	opened := seen{Complete: true, Opened: true, Named: true, Segments: 3, Bytes: 450, Acked: 3, Changed: 1, Size: 450,
		Standing: wire.Complete, Names: "a", Manifests: 2, States: 2, Intents: 2}
	whole := opened
	whole.Known = true
	for _, c := range []struct {
		name string
		keys trace.Keys
		want seen
	}{
		{"nothing", trace.Keys{}, outside},
		{"another key", trace.Keys{Ring: other}, outside},
		{"the key", trace.Keys{Ring: ring}, known},
		{"a key log", trace.Keys{Secrets: []*seal.Secret{secret}}, opened},
		{"both, and a stranger's secret", trace.Keys{Ring: ring, Secrets: []*seal.Secret{stranger, secret, stranger}}, whole},
	} {
		var a trace.Analyzer
		a.Keys = c.keys
		for _, d := range all {
			d.Data = bytes.Clone(d.Data)
			before := bytes.Clone(d.Data)
			a.Add(&d)
			if !bytes.Equal(before, d.Data) {
				t.Fatalf("%s: the datagram was changed", c.name)
			}
		}
		tr := a.Finish()
		if len(tr.Transactions) != 1 || len(tr.Unanswered) != 0 || tr.Malformed != 0 || tr.Messages != int64(len(all)) {
			t.Fatalf("%s: %+v", c.name, tr)
		}
		x := tr.Transactions[0]
		got := seen{x.Complete(), x.Opened, x.Known, x.Name == "secret", x.Segments, x.Bytes, x.Acked, x.Unopened, x.Size,
			x.Standing, "", x.Manifests, x.States, x.Intents}
		for _, r := range x.Receivers {
			got.Names += r.Name
		}
		if got != c.want || !x.Sealed || !x.Extended || x.Key != key.ID() {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestSealedFromTheMiddle has no handshake in the capture: what is no text shows it.
func TestSealedFromTheMiddle(t *testing.T) {
	all, _, secret := recorded(t)
	for _, keys := range []trace.Keys{{}, {Secrets: []*seal.Secret{secret}}} {
		var a trace.Analyzer
		a.Keys = keys
		for _, d := range all[4:] {
			a.Add(&d)
		}
		tr := a.Finish()
		if len(tr.Transactions) != 1 || !tr.Transactions[0].Sealed || tr.Malformed != 0 {
			t.Fatalf("%+v", tr)
		}
		if x := tr.Transactions[0]; x.Opened != (keys.Secrets != nil) || x.Complete() != x.Opened || x.Key != "" {
			t.Errorf("%+v", x)
		}
	}
}

// TestSealedCut has only the beginnings of datagrams, as tcpdump -s 80 writes them.
func TestSealedCut(t *testing.T) {
	all, _, secret := recorded(t)
	var a trace.Analyzer
	a.Keys.Secrets = []*seal.Secret{secret}
	for _, d := range all {
		if n := len(d.Data) - 80; n > 0 {
			d.Data, d.Cut, d.Missing = d.Data[:80], true, n
		}
		a.Add(&d)
	}
	tr := a.Finish()
	if len(tr.Transactions) != 1 {
		t.Fatalf("%+v", tr)
	}
	if x := tr.Transactions[0]; !x.Sealed || x.Bytes != 450 || x.Segments != 3 || x.Name != "" || !x.Complete() { // the verdict is short
		t.Errorf("%+v", x)
	}
}
