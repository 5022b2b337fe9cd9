package fleet

import (
	"errors"
	"math/rand/v2"
	"testing"

	"mdalp/fleet/engine"
	"mdalp/seal"
	"mdalp/wire"
)

func testVault(seed byte) *vault {
	return &vault{seal.Key{seed, 2, 3}, rand.NewChaCha8([32]byte{seed})}
}

// What is sealed for one receiver, one start of it, one place and one transaction is of no use to
// any other, nor to who has another key.
func TestVault(t *testing.T) {
	v := testVault(1)
	birth, err := v.birth("a")
	if err != nil {
		t.Fatal(err)
	}
	next, err := v.birth("a")
	if err != nil || next == birth {
		t.Fatal(next, err)
	}
	keys := seal.ChannelKeys{Seal: [32]byte{1}, Open: [32]byte{2}}
	blob, err := v.lock(keys, 7, 1, "a", birth)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.unlock(blob, 7, 1, "a", birth); err != nil || got != keys {
		t.Errorf("%v, %v", got, err)
	}
	again, err := v.lock(keys, 7, 1, "a", birth)
	if err != nil || again == blob {
		t.Errorf("sealed twice it is the same, %v", err)
	}
	for name, f := range map[string]func() (seal.ChannelKeys, error){
		"transaction": func() (seal.ChannelKeys, error) { return v.unlock(blob, 8, 1, "a", birth) },
		"place":       func() (seal.ChannelKeys, error) { return v.unlock(blob, 7, 0, "a", birth) },
		"receiver":    func() (seal.ChannelKeys, error) { return v.unlock(blob, 7, 1, "b", birth) },
		"start":       func() (seal.ChannelKeys, error) { return v.unlock(blob, 7, 1, "a", next) },
		"key":         func() (seal.ChannelKeys, error) { return testVault(2).unlock(blob, 7, 1, "a", birth) },
		"changed":     func() (seal.ChannelKeys, error) { return v.unlock("AAAA"+blob[4:], 7, 1, "a", birth) },
		"short":       func() (seal.ChannelKeys, error) { return v.unlock("AAAA", 7, 1, "a", birth) },
		"none":        func() (seal.ChannelKeys, error) { return v.unlock("", 7, 1, "a", birth) },
	} {
		if k, err := f(); !errors.Is(err, errSealed) || k != (seal.ChannelKeys{}) {
			t.Errorf("another %s: %v, %v", name, k, err)
		}
	}
}

// A receiver is believed that has the key, under its own name alone.
func TestVaultBelieves(t *testing.T) {
	v := testVault(1)
	birth, err := v.birth("a")
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		v    *vault
		p    engine.Party
		want bool
	}{
		"its own":        {v, engine.Party{ID: "a", Seal: birth}, true},
		"another's name": {v, engine.Party{ID: "b", Seal: birth}, false},
		"another key":    {testVault(2), engine.Party{ID: "a", Seal: birth}, false},
		"none":           {v, engine.Party{ID: "a"}, false},
		"no base64":      {v, engine.Party{ID: "a", Seal: "-" + birth[1:]}, false},
		"changed":        {v, engine.Party{ID: "a", Seal: "AAAA" + birth[4:]}, false},
	} {
		if got := x.v.believes(&x.p); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The keys of a transaction are opened once, also when another birth has come since: whoever
// opened them again would use numbers twice.
func TestUnlockOnce(t *testing.T) {
	v := testVault(1)
	o, err := newOpener(v, "b")
	if err != nil {
		t.Fatal(err)
	}
	r := &Receiver{cfg: ReceiverConfig{ID: "b"}, opener: o}
	record := func(tid int64) *engine.Record {
		blob, err := v.lock(seal.ChannelKeys{}, tid, 1, "b", o.births[0].text)
		if err != nil {
			t.Fatal(err)
		}
		return &engine.Record{TID: tid, Print: "p", Receivers: []engine.Station{{ID: "a"}, {ID: "b", Seal: blob}}}
	}
	first, second, third := record(1), record(2), record(3)
	s := &stand{tid: 1}
	if !r.unlock(s, first) || s.channel == nil {
		t.Fatal("the keys do not open")
	}
	if kept := s.channel; !r.unlock(s, first) || s.channel != kept {
		t.Error("a channel that is there is made anew")
	}
	if r.unlock(&stand{tid: 1}, first) {
		t.Error("the keys open twice")
	}
	if r.unlock(&stand{tid: 2}, first) {
		t.Error("the keys of another transaction open")
	}
	if err := o.bear("b"); err != nil {
		t.Fatal(err)
	}
	if r.unlock(&stand{tid: 1}, first) {
		t.Error("the keys open again after another birth")
	}
	if !r.unlock(&stand{tid: 2}, second) {
		t.Error("an offer of before is not taken")
	}
	if err := o.bear("b"); err != nil {
		t.Fatal(err)
	}
	if r.unlock(&stand{tid: 1}, first) || r.unlock(&stand{tid: 3}, third) {
		t.Error("keys open that are two births old")
	}
}

// A segment opens once, at the receiver that it was sealed for, in its transaction; and what was
// not sealed is not taken in a sealed one.
func TestUnseal(t *testing.T) {
	// The other end of a channel.
	client := func(k seal.ChannelKeys) *seal.Channel {
		return seal.NewChannel(seal.ChannelKeys{Seal: k.Open, Open: k.Seal})
	}
	first, second := seal.ChannelKeys{Seal: [32]byte{1}, Open: [32]byte{2}}, seal.ChannelKeys{Seal: [32]byte{3}, Open: [32]byte{4}}
	receiver := func(k seal.ChannelKeys) *Receiver {
		return &Receiver{opener: new(opener), stands: map[int64]*stand{7: {tid: 7, state: extended, channel: seal.NewChannel(k)}}}
	}
	plain := wire.AppendSegmentHeader(nil, 7, 3, 0, 1, 1)
	data := len(plain)
	plain = append(plain, "payload;"...)
	sealed, err := client(first).Seal(append([]byte(nil), plain...), data, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := receiver(first), receiver(second)
	try := func(r *Receiver, d []byte) (string, bool) {
		out, ok := r.unseal(append([]byte(nil), d...))
		return string(out), ok
	}
	if out, ok := try(b, sealed); ok || b.counts.Unopened != 1 {
		t.Errorf("at another receiver: %q, %+v", out, b.counts)
	}
	if out, ok := try(a, plain); ok || a.counts.Unopened != 1 {
		t.Errorf("not sealed: %q, %+v", out, a.counts)
	}
	if out, ok := try(a, sealed); !ok || out != string(plain) {
		t.Errorf("as sealed: %q, %v", out, ok)
	}
	if out, ok := try(a, sealed); ok || a.counts.Replayed != 1 {
		t.Errorf("again: %q, %+v", out, a.counts)
	}
	ack := wire.AppendAckRanges(nil, 7, 0, []wire.Range{{First: 0, Last: 0}})
	out, ok := a.seal(append([]byte(nil), ack...))
	if !ok || string(out) == string(ack) {
		t.Fatalf("an acknowledgement in the clear: %q, %v", out, ok)
	}
	if _, ok := a.seal(append([]byte(nil), ack...)); ok {
		t.Error("a number is used twice")
	}
	other := wire.AppendAckRanges(nil, 8, 0, []wire.Range{{First: 0, Last: 0}})
	if out, ok := a.seal(other); ok {
		t.Errorf("of a transaction that is forgotten: %q", out)
	}
	a.stands[8] = &stand{tid: 8, state: extended}
	if out, ok := a.seal(other); !ok || string(out) != string(other) {
		t.Errorf("of one that is not sealed: %q, %v", out, ok)
	}
}
