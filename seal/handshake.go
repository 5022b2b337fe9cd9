package seal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flynn/noise"

	"mdalp/wire"
)

// The handshake is Noise_NNpsk0_25519_AESGCM_SHA256 (The Noise Protocol Framework,
// revision 34, section 9; PROTOCOL.md, "Sealed transactions").

// ephemeral is the length of a private key of Curve25519, and of a public one.
const ephemeral = 32

// Amplification is how many times as long as its intent an answer may be (RFC 9000,
// section 8.1).
const Amplification = 3

// IntentSize is the length of every intent that an [Initiator] writes, in bytes: the
// longest of at most 1,200, as base64 comes in fours.
const IntentSize = 1197

const (
	intentText = len("Type:0;DATA:{'key': '01234567', 'noise': ''};") // all but the base64
	padding    = (IntentSize-intentText)/4*3 - ephemeral - Overhead   // zeros in message 1
)

// prologue is the same at both ends, or the handshake fails.
var prologue = []byte("MDALP 1")

var suite = noise.NewCipherSuite(noise.DH25519, noise.CipherAESGCM, noise.HashSHA256)

// Why an intent or an answer was not taken.
var (
	// ErrHandshake says that a datagram is no message of a handshake at all.
	ErrHandshake = errors.New("no sealed handshake")
	// ErrUnknownKey says that no key of the ring has the ID that an intent names.
	ErrUnknownKey = errors.New("its key is not known")
	// ErrForged says that a datagram does not open: another key sealed it, or it was
	// changed on the way.
	ErrForged = errors.New("it does not open")
	// ErrTooLong says that an offer would be more than three times as long as its intent.
	ErrTooLong = errors.New("the offer is too long for its intent")
)

// begin is a handshake before its first message.
func begin(k *Key, initiator bool, random io.Reader) (*noise.HandshakeState, error) {
	return noise.NewHandshakeState(noise.Config{
		CipherSuite: suite, Pattern: noise.HandshakeNN, Prologue: prologue, PresharedKey: k[:],
		Initiator: initiator, Random: random,
	})
}

// An Initiator is the client's side of one handshake.
type Initiator struct {
	key     Key
	private [ephemeral]byte
	intent  []byte
}

// NewInitiator draws the client's side of a handshake. random is a source of secrets; the
// error is its, or that of what was drawn.
func NewInitiator(k Key, random io.Reader) (*Initiator, error) {
	i := &Initiator{key: k}
	if _, err := io.ReadFull(random, i.private[:]); err != nil {
		return nil, fmt.Errorf("no randomness for a handshake: %w", err)
	}
	_, message, err := i.open()
	if err != nil {
		return nil, err
	}
	i.intent = wire.AppendSealedIntent(nil, &wire.Handshake{Key: k.ID(), Noise: message})
	return i, nil
}

// open is the handshake after message 1, which it gives too. It comes out the same every
// time: a message 2 that was forged leaves its traces in the state, so each is tried on
// one of its own.
func (i *Initiator) open() (h *noise.HandshakeState, message []byte, err error) {
	if h, err = begin(&i.key, true, bytes.NewReader(i.private[:])); err != nil {
		return nil, nil, err
	}
	message, _, _, err = h.WriteMessage(nil, make([]byte, padding))
	return h, message, err
}

// Intent appends the sealed intent, of [IntentSize] bytes: a whole datagram, and the same
// each time.
func (i *Initiator) Intent(b []byte) []byte { return append(b, i.intent...) }

// An Answer is what a sealed intent drew.
type Answer struct {
	// Plain is an offer, a whole datagram, and Session its transaction's. Both are nil
	// where it is no offer yet.
	Plain   []byte
	Session *Session
	// Wait is after how long the same intent may come again, where there is no offer yet.
	Wait time.Duration
}

// Finish opens what came in answer, a whole datagram. An error is [ErrHandshake] or
// [ErrForged]; then nothing has happened, and the next may be tried.
func (i *Initiator) Finish(answer []byte) (a Answer, err error) {
	m, err := wire.Parse(answer)
	if err != nil || m.Type != wire.Offer || m.Data == nil || m.Seq != wire.Absent || m.Num != wire.Absent {
		return Answer{}, ErrHandshake
	}
	text, err := wire.ParseHandshake(m.Data)
	if err != nil {
		return Answer{}, ErrHandshake
	}
	h, _, err := i.open()
	if err != nil {
		return Answer{}, err
	}
	plain, to, from, err := h.ReadMessage(nil, text.Noise)
	if err != nil {
		return Answer{}, ErrForged
	}
	inner, err := wire.Parse(plain)
	switch {
	case err == nil && inner.Type == wire.Offer && inner.TID != wire.Absent && inner.TID == m.TID:
		return Answer{Plain: plain, Session: newSession(to, from)}, nil
	case err == nil:
		return Answer{}, ErrForged // its header was changed
	}
	ms, err := wire.ParseWait(plain)
	if err != nil || m.TID != wire.Absent {
		return Answer{}, ErrForged
	}
	return Answer{Wait: time.Duration(ms) * time.Millisecond}, nil
}

// A Responder is the server's side of one handshake: an intent that opened.
type Responder struct {
	name    string
	key     Key
	message []byte // the first
	size    int    // of the intent
}

// Open opens an intent, a whole datagram, with the keys of a ring. It keeps nothing. An
// error is [ErrHandshake], [ErrUnknownKey] or [ErrForged], and draws no answer.
func Open(ring *Keyring, intent []byte) (*Responder, error) {
	m, err := wire.Parse(intent)
	if err != nil || m.Type != wire.Intent || m.Data == nil ||
		m.TID != wire.Absent || m.Seq != wire.Absent || m.Num != wire.Absent {
		return nil, ErrHandshake
	}
	text, err := wire.ParseHandshake(m.Data)
	if err != nil {
		return nil, ErrHandshake
	}
	places := ring.with([]byte(text.Key))
	if len(places) == 0 {
		return nil, ErrUnknownKey
	}
	for _, place := range places {
		r := &Responder{ring.keys[place].name, ring.keys[place].key, text.Noise, len(intent)}
		if _, err := r.open(nil); err == nil {
			return r, nil
		}
	}
	return nil, ErrForged
}

// open is the handshake after message 1.
func (r *Responder) open(random io.Reader) (*noise.HandshakeState, error) {
	h, err := begin(&r.key, false, random)
	if err != nil {
		return nil, err
	}
	_, _, _, err = h.ReadMessage(nil, r.message)
	return h, err
}

// Name is that of the key in the ring.
func (r *Responder) Name() string { return r.name }

// ID tells this handshake from every other: the SHA-256 of message 1. An intent that
// comes again, however it is written, has the same.
func (r *Responder) ID() [sha256.Size]byte { return sha256.Sum256(r.message) }

// Offer appends a sealed offer to b: plain is a whole plain offer of the same tid. It
// gives the transaction's session. The error is [ErrTooLong], that of random, or that of
// an ephemeral key of the client's with which no secret can be had.
func (r *Responder) Offer(b []byte, tid int64, plain []byte, random io.Reader) ([]byte, *Session, error) {
	return r.answer(b, tid, plain, random)
}

// Wait appends an answer that is no offer yet: the key is known, and the intent may come
// again after a time, 10 ms to 10 s. Errors are those of [Responder.Offer].
func (r *Responder) Wait(b []byte, d time.Duration, random io.Reader) ([]byte, error) {
	out, _, err := r.answer(b, wire.Absent, wire.AppendWait(nil, d.Milliseconds()), random)
	return out, err
}

// answer appends message 2. Each has an ephemeral key of its own, so several to one
// message 1 share no key.
func (r *Responder) answer(b []byte, tid int64, plain []byte, random io.Reader) ([]byte, *Session, error) {
	h, err := r.open(random)
	if err != nil {
		return b, nil, err
	}
	message, from, to, err := h.WriteMessage(nil, plain)
	if err != nil {
		return b, nil, err
	}
	out := wire.AppendSealedOffer(b, tid, message)
	if len(out)-len(b) > Amplification*r.size {
		return b, nil, ErrTooLong
	}
	return out, newSession(to, from), nil
}
