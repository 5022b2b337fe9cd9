package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestKeyLog records a transaction and opens it with what its key log holds.
func TestKeyLog(t *testing.T) {
	k := countingKey(t)
	random := rand.NewChaCha8([32]byte{1})
	var ring Keyring
	if err := ring.Add("office", k); err != nil {
		t.Fatal(err)
	}
	i, err := NewInitiator(k, random)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(&ring, i.Intent(nil))
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte("Type:1;TID:7;DATA:[{'ip_address': '192.0.2.1', 'port': 4650, 'seg': 1200, 'win': 8}]")
	offer, server, err := r.Offer(nil, 7, plain, random)
	if err != nil {
		t.Fatal(err)
	}
	a, err := i.Finish(offer)
	if err != nil {
		t.Fatal(err)
	}
	log := AppendKeyLog([]byte("# a comment\n\n"), a.Session.Secret(7, a.Plain))
	if !IsKeyLog(log) || IsKeyLog(FormatKey(k, "MDALP")) || IsKeyLog(nil) {
		t.Error("a key log and a key file are taken for each other")
	}
	all, err := ParseKeyLog(log)
	if err != nil || len(all) != 1 || all[0].TID != 7 || !bytes.Equal(all[0].Offer, plain) {
		t.Fatalf("the log reads as %v, %v", all, err)
	}
	o := all[0].Opener()
	const head = "Type:2;TID:7;SEQ:0;NUM:5;DATA:"
	for _, c := range []struct {
		from    *Session
		client  bool
		channel int
	}{{a.Session, true, 3}, {server, false, 3}, {a.Session, true, Orchestrator}, {server, false, Orchestrator}} {
		b, err := c.from.Channel(c.channel).Seal([]byte(head+"text"), len(head), 5)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a record may have it twice
			if got, err := o.Open(b, len(head), 5, c.channel, c.client); err != nil || string(got) != head+"text" {
				t.Errorf("channel %d, client %v: %q, %v", c.channel, c.client, got, err)
			}
		}
		for _, bad := range []struct {
			n       uint64
			channel int
			client  bool
		}{{6, c.channel, c.client}, {5, c.channel + 1, c.client}, {5, c.channel, !c.client}} {
			if _, err := o.Open(b, len(head), bad.n, bad.channel, bad.client); !errors.Is(err, ErrForged) {
				t.Errorf("with %+v what %+v sealed opens: %v", bad, c, err)
			}
		}
	}
}

func TestParseKeyLogRefuses(t *testing.T) {
	good := string(AppendKeyLog(nil, &Secret{TID: 7, Offer: []byte("o")}))
	for _, bad := range []string{
		"KEYLOG" + good[5:], good[:40], strings.Replace(good, " 7 ", " -7 ", 1), strings.Replace(good, " 7 ", " 9223372036854775808 ", 1),
		strings.Replace(good, "00", "0", 1), strings.Replace(good, "00", "0g", 1), strings.TrimSpace(good) + "=x\n",
		strings.TrimSpace(good) + " more\n", good + "x\n",
	} {
		if all, err := ParseKeyLog([]byte(bad)); !errors.Is(err, errKeyLog) || all != nil {
			t.Errorf("%q: %v, %v", bad, all, err)
		}
	}
}

func FuzzParseKeyLog(f *testing.F) {
	good := string(AppendKeyLog(nil, &Secret{TID: 7, Offer: []byte("o")}))
	f.Add([]byte(good))
	f.Add([]byte("# c\n\n" + good + good))
	f.Add([]byte("MDALP 7   "))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := ParseKeyLog(text)
		if err != nil {
			return
		}
		var again []byte
		for _, x := range all {
			again = AppendKeyLog(again, x)
		}
		if b, err := ParseKeyLog(again); err != nil || len(b) != len(all) {
			t.Errorf("written and read again: %v, %v", b, err)
		}
	})
}
