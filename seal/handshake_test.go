package seal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mdalp/wire"
)

const plainOffer = "Type:1;TID:7;DATA:[{'ip_address': '192.0.2.1', 'port': 4650, 'seg': 1200, 'win': 512}];"

// chance is a source of randomness that is the same each time.
func chance(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func ringOf(t testing.TB, keys ...Key) *Keyring {
	t.Helper()
	var r Keyring
	for i, k := range keys {
		if err := r.Add(fmt.Sprintf("k%d", i), k); err != nil {
			t.Fatal(err)
		}
	}
	return &r
}

// shake goes through a handshake.
func shake(t testing.TB) (client, server *Session) {
	t.Helper()
	k := Key{1, 2, 3}
	i, err := NewInitiator(k, chance(1))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(ringOf(t, k), i.Intent(nil))
	if err != nil {
		t.Fatal(err)
	}
	offer, server, err := r.Offer(nil, 7, []byte(plainOffer), chance(2))
	if err != nil {
		t.Fatal(err)
	}
	a, err := i.Finish(offer)
	if err != nil || string(a.Plain) != plainOffer {
		t.Fatalf("%q, %v", a.Plain, err)
	}
	return a.Session, server
}

func TestHandshake(t *testing.T) {
	k := Key{1, 2, 3}
	i, err := NewInitiator(k, chance(1))
	if err != nil {
		t.Fatal(err)
	}
	intent := i.Intent(nil)
	if len(intent) != IntentSize || !bytes.Equal(intent, i.Intent(nil)) {
		t.Errorf("the intent has %d bytes, or is another the second time", len(intent))
	}
	if want := "Type:0;DATA:{'key': '" + k.ID() + "', 'noise': '"; !strings.HasPrefix(string(intent), want) {
		t.Errorf("the intent begins %q", intent[:len(want)])
	}
	r, err := Open(ringOf(t, Key{9}, k), intent)
	if err != nil || r.Name() != "k1" {
		t.Fatal(r, err)
	}
	wait, err := r.Wait([]byte("x"), 1500*time.Millisecond, chance(3))
	if err != nil || wait[0] != 'x' {
		t.Fatal(err)
	}
	if a, err := i.Finish(wait[1:]); err != nil || a.Wait != 1500*time.Millisecond || a.Session != nil || a.Plain != nil {
		t.Errorf("%+v, %v", a, err)
	}
	offer, theirs, err := r.Offer([]byte("x"), 7, []byte(plainOffer), chance(4))
	if err != nil || offer[0] != 'x' {
		t.Fatal(err)
	}
	offer = offer[1:]
	// What is forged changes nothing, and not what comes after it.
	for name, forged := range map[string]string{
		"another TID": strings.Replace(string(offer), "TID:7;", "TID:8;", 1),
		"no TID":      strings.Replace(string(offer), "TID:7;", "", 1),
		"another key": strings.Replace(string(offer), "'noise': '", "'noise': 'AAAA", 1),
		"no point":    "Type:1;TID:7;DATA:{'noise': '" + strings.Repeat("A", 128) + "'};",
		"wait, named": strings.Replace(string(wait[1:]), "Type:1;", "Type:1;TID:7;", 1),
	} {
		if a, err := i.Finish([]byte(forged)); !errors.Is(err, ErrForged) || a.Session != nil {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	for _, not := range []string{plainOffer, "", "Type:1;TID:7;", "Type:1;TID:7;DATA:{};", string(intent)} {
		if _, err := i.Finish([]byte(not)); !errors.Is(err, ErrHandshake) {
			t.Errorf("%.60q: %v", not, err)
		}
	}
	a, err := i.Finish(offer)
	if err != nil || string(a.Plain) != plainOffer || a.Wait != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	ours := a.Session
	const head = "Type:4;TID:7;SEQ:0;DATA:"
	b, err := ours.Channel(Orchestrator).Seal([]byte(head+"{}"), len(head), 0)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := theirs.Channel(Orchestrator).Open(b, len(head), 0); err != nil || string(out) != head+"{}" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	k := Key{1, 2, 3}
	i, err := NewInitiator(k, chance(1))
	if err != nil {
		t.Fatal(err)
	}
	intent := string(i.Intent(nil))
	for _, c := range []struct {
		name, intent string
		ring         *Keyring
		want         error
	}{
		{"as sent", intent, ringOf(t, k), nil},
		{"plain", "Type:0;", ringOf(t, k), ErrHandshake},
		{"cut", intent[:len(intent)-3], ringOf(t, k), ErrHandshake},
		{"with a TID", strings.Replace(intent, "Type:0;", "Type:0;TID:1;", 1), ringOf(t, k), ErrHandshake},
		{"no key", strings.Replace(intent, "'key'", "'kei'", 1), ringOf(t, k), ErrUnknownKey},
		{"another key", intent, ringOf(t, Key{4}), ErrUnknownKey},
		{"no keys", intent, ringOf(t), ErrUnknownKey},
		{"renamed", strings.Replace(intent, k.ID(), (&Key{4}).ID(), 1), ringOf(t, Key{4}), ErrForged},
		{"changed", strings.Replace(intent, "'noise': '", "'noise': 'AAAA", 1), ringOf(t, k), ErrForged},
		{"short", "Type:0;DATA:{'key': '" + k.ID() + "', 'noise': 'AAAA'};", ringOf(t, k), ErrForged},
	} {
		if r, err := Open(c.ring, []byte(c.intent)); !errors.Is(err, c.want) || (r == nil) != (err != nil) {
			t.Errorf("%s: %v, %v, want %v", c.name, r, err, c.want)
		}
	}
}

func TestOfferBounds(t *testing.T) {
	k := Key{1, 2, 3}
	i, err := NewInitiator(k, chance(1))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(ringOf(t, k), i.Intent(nil))
	if err != nil {
		t.Fatal(err)
	}
	for n := 2500; n < 2700; n++ {
		plain := wire.AppendOffer(nil, 7, []wire.Receiver{{Host: strings.Repeat("h", n)}})
		out, _, err := r.Offer(nil, 7, plain, chance(2))
		switch {
		case err == nil && len(out) > 3*IntentSize:
			t.Fatalf("%d bytes draw %d", IntentSize, len(out))
		case err != nil && (!errors.Is(err, ErrTooLong) || len(out) != 0):
			t.Fatalf("%d bytes, %v", len(out), err)
		case n == 2500 && err != nil, n == 2699 && err == nil:
			t.Errorf("an offer of %d bytes: %v", len(plain), err)
		}
	}
	broken := errors.New("broken")
	if _, _, err := r.Offer(nil, 7, []byte(plainOffer), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("of a broken source: %v", err)
	}
	if _, err := NewInitiator(k, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("of a broken source: %v", err)
	}
}
