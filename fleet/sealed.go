package fleet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"mdalp/fleet/engine"
	"mdalp/seal"
	"mdalp/server"
)

// The keys of a sealed transaction go from its orchestrator to its receivers by the ledger. All
// parts of a fleet have a key of their own for that, which neither the engine nor any client has;
// so whoever operates the engine can neither open what is sealed there nor put something else in
// its place. docs/fleet.md says why it is this and no pair of keys for each receiver.

// A vault seals with the fleet's key.
type vault struct {
	key    seal.Key
	random io.Reader
}

const (
	birthBytes = 16 // what is drawn at a receiver's start
	markBytes  = 16 // of the code that shows that it has the key
	saltBytes  = 32 // of one blob
)

// errSealed says that what a record has for a receiver does not open.
var errSealed = errors.New("it is sealed, and its keys do not open here")

// derive gives a key for one purpose.
func (v *vault) derive(salt []byte, purpose ...string) []byte {
	// No ID and no number has a zero byte in it.
	key, err := hkdf.Key(sha256.New, v.key[:], salt, strings.Join(purpose, "\x00"), 32)
	if err != nil {
		panic(err) // of a length that is too long, which 32 is not
	}
	return key
}

// mark shows that receiver id, which drew birth, has the key.
func (v *vault) mark(id string, birth []byte) []byte {
	h := hmac.New(sha256.New, v.derive(nil, "mdalp fleet receiver", id))
	h.Write(birth)
	return h.Sum(nil)[:markBytes]
}

// birth draws what tells one start of a receiver from all others, as its Party has it.
func (v *vault) birth(id string) (string, error) {
	b := make([]byte, birthBytes)
	if _, err := io.ReadFull(v.random, b); err != nil {
		return "", fmt.Errorf("no randomness for a receiver: %w", err)
	}
	return base64.StdEncoding.EncodeToString(append(b, v.mark(id, b)...)), nil
}

// believes reports whether a party has the key.
func (v *vault) believes(p *engine.Party) bool {
	b, err := base64.StdEncoding.DecodeString(p.Seal)
	return err == nil && len(b) == birthBytes+markBytes &&
		hmac.Equal(b[birthBytes:], v.mark(p.ID, b[:birthBytes]))
}

// box is the cipher of one blob: each has a salt, and so a key, of its own, so that no nonce can
// come twice. What it is for is in the key.
func (v *vault) box(salt []byte, tid int64, place int, id, birth string) cipher.AEAD {
	key := v.derive(salt, "mdalp fleet channel", fmt.Sprint(tid), fmt.Sprint(place), id, birth)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // of a length that is no key's
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // of a block that is not AES's
	}
	return a
}

// lock gives the keys of a channel as a Station has them.
func (v *vault) lock(k seal.ChannelKeys, tid int64, place int, id, birth string) (string, error) {
	out := make([]byte, saltBytes, saltBytes+len(k.Seal)+len(k.Open)+seal.Overhead)
	if _, err := io.ReadFull(v.random, out); err != nil {
		return "", fmt.Errorf("no randomness for a receiver's keys: %w", err)
	}
	a := v.box(out[:saltBytes:saltBytes], tid, place, id, birth)
	plain := append(append([]byte(nil), k.Seal[:]...), k.Open[:]...)
	return base64.StdEncoding.EncodeToString(a.Seal(out, make([]byte, a.NonceSize()), plain, nil)), nil
}

// unlock is the opposite of lock.
func (v *vault) unlock(text string, tid int64, place int, id, birth string) (k seal.ChannelKeys, err error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) < saltBytes {
		return k, errSealed
	}
	a := v.box(b[:saltBytes], tid, place, id, birth)
	plain, err := a.Open(nil, make([]byte, a.NonceSize()), b[saltBytes:], nil)
	if err != nil || len(plain) != len(k.Seal)+len(k.Open) {
		return k, errSealed
	}
	n := copy(k.Seal[:], plain)
	copy(k.Open[:], plain[n:])
	return k, nil
}

// agreed has the record of a new transaction tell each receiver its keys. It is called in the
// loop, right after choose.
func (s *store) agreed(tid int64, k server.Identity, keys *seal.Session) {
	t := s.find(tid)
	if t == nil {
		return
	}
	t.rec.Key, t.rec.Print = k.Name, printOf(&k)
	for i := range t.rec.Receivers {
		r := &t.rec.Receivers[i]
		blob, err := s.vault.lock(keys.Keys(i), tid, i, r.ID, t.births[i])
		if err != nil {
			s.log.Error("a receiver cannot be told its keys", "tid", tid, "receiver", r.ID, "err", err)
		}
		r.Seal = blob
	}
}

// printOf is how a record has it, empty of none.
func printOf(k *server.Identity) string {
	if k.Print == ([16]byte{}) {
		return ""
	}
	return hex.EncodeToString(k.Print[:])
}

// keep ends a sealed transaction whose orchestrator is gone: its keys were that one's alone. What
// is there may be resumed, by the same key.
func (s *store) keep(e engine.Entry) error {
	t := &trans{s: s, rec: *e.Record, rev: e.Revision}
	r := t.rec
	r.Owner, r.Epoch, r.State = s.me, r.Epoch+1, engine.Void
	if r.Bytes > 0 {
		r.State = engine.Kept
	}
	return t.update(&r)
}
