package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"mdalp/loop"
	"mdalp/seal"
	"mdalp/wire"
)

const (
	// queueWait is after how long a client whose intent waits for its turn may ask again.
	queueWait = time.Second
	// longIntent is from how many bytes on an intent is no plain one: no client sends such.
	longIntent = 512
)

// A Sealed is a [Server] that takes sealed transactions too (PROTOCOL.md, "Sealed
// transactions"). It opens what comes and seals what goes, so that the server within speaks
// plain as ever. It implements [loop.Handler].
//
// Its memory is bounded by the server's: it knows the handshakes of intents that wait, and of
// transactions, and nothing else. What does not open leaves no trace but a counter.
type Sealed struct {
	*Server
	*envelope
}

// An envelope is what stands around a server, or an orchestrator alone: then segments go
// elsewhere, and whoever takes them opens them.
type envelope struct {
	in      speaker
	l       *Ledger
	rcv     *Receivers // nil where they are elsewhere
	ring    *seal.Keyring
	require bool
	random  io.Reader
	prints  map[string][16]byte // of the keys, by name
	agreed  func(k *sealing)    // of a fleet

	byHandshake map[[sha256.Size]byte]*sealing
	byTID       map[int64]*sealing
	answers     fifo[*sealing] // to be sent, or sent again, beside the server's
	row         int            // datagrams of the server's since the last of these
}

// NewSealed makes a server that takes sealed transactions by the keys of a ring, and with
// require no others: plain intents are then dropped. random is a source of secrets. It fails
// as [New] does, when the base protocol alone is to be spoken, and when a sealed offer would be
// too long: it has at most three times the bytes of its intent.
func NewSealed(cfg Config, ring *seal.Keyring, require bool, random io.Reader) (*Sealed, error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if s.cfg.Base {
		return nil, errors.New("server: sealed transactions are of the extended protocol, " +
			"which is not spoken")
	}
	offer := offerLen(s.orch.offered)
	long := len(wire.AppendSealedOffer(nil, wire.MaxNumber, make([]byte, sha256.Size+offer+seal.Overhead)))
	if most := seal.Amplification * seal.IntentSize; long > most {
		return nil, fmt.Errorf("server: a sealed offer of %d receivers has %d bytes, and may have %d: "+
			"offer fewer, or without names", len(s.orch.offered), long, most)
	}
	return &Sealed{s, newEnvelope(s, &s.Ledger, &s.rcv, ring, require, random)}, nil
}

// A speaker is what speaks plain within.
type speaker interface {
	loop.Handler
	SealedIntent(now time.Time, e *loop.Envelope, k Seal)
}

func newEnvelope(in speaker, l *Ledger, rcv *Receivers, ring *seal.Keyring, require bool,
	random io.Reader) *envelope {
	w := &envelope{
		in: in, l: l, rcv: rcv, ring: ring, require: require, random: random,
		prints:      make(map[string][16]byte),
		byHandshake: make(map[[sha256.Size]byte]*sealing), byTID: make(map[int64]*sealing),
	}
	for _, name := range ring.Names() {
		k, _ := ring.Key(name)
		sum := sha256.Sum256(append([]byte("mdalp print of a key: "), k[:]...))
		w.prints[name] = [16]byte(sum[:16])
	}
	return w
}

// A sealing is a handshake and what came of it. It implements [Seal].
type sealing struct {
	s         *envelope
	handshake [sha256.Size]byte
	key       Identity
	tid       int64           // or Absent, while the intent waits
	path      intent          // where the intent came from last
	responder *seal.Responder // until there is an offer
	answer    []byte          // that offer; before it, that the client is to wait
	ready     []byte          // in a fleet: that offer, until the others know of it
	session   *seal.Session   // from the offer to the verdict
	orch      *seal.Channel   // from the offer on
	queued    bool            // it stands in Sealed.answers
	settled   bool
}

// Identity implements [Seal].
func (k *sealing) Identity() Identity { return k.key }

// Begin implements [Seal].
func (k *sealing) Begin(tid int64) {
	k.tid = tid
	k.s.byTID[tid] = k
}

// Settled implements [Seal]. A verdict may be remembered for long, so what it takes is all
// that is kept.
func (k *sealing) Settled() {
	k.settled = true
	k.responder, k.session, k.answer, k.ready = nil, nil, nil, nil
}

// End implements [Seal].
func (k *sealing) End() {
	k.Settled()
	k.orch = nil
	delete(k.s.byHandshake, k.handshake)
	if k.s.byTID[k.tid] == k {
		delete(k.s.byTID, k.tid)
	}
}

// Receive implements [loop.Handler].
func (s *Sealed) Receive(now time.Time, e *loop.Envelope, b []byte) { s.receive(now, e, b) }

func (s *envelope) receive(now time.Time, e *loop.Envelope, b []byte) {
	m, err := wire.Parse(b)
	if err != nil || s.l.closed || !answerable(e) { // the server counts it
		s.in.Receive(now, e, b)
		return
	}
	if m.Type == wire.Intent {
		s.intent(now, e, &m, b)
		return
	}
	if k := s.byTID[m.TID]; k != nil {
		var ok bool
		if b, ok = s.open(k, e, &m, b); !ok {
			s.l.stats.Datagrams++
			return
		}
	}
	s.in.Receive(now, e, b)
}

// intent takes a message of type 0.
func (s *envelope) intent(now time.Time, e *loop.Envelope, m *wire.Message, b []byte) {
	r, err := seal.Open(s.ring, b)
	switch {
	case err == nil:
	case !errors.Is(err, seal.ErrHandshake) || len(b) >= longIntent:
		s.l.stats.Datagrams++
		s.l.stats.Unopened++
		return
	case s.require:
		s.l.stats.Datagrams++
		s.l.stats.PlainIntents++
		return
	default:
		s.in.Receive(now, e, b)
		return
	}
	id := r.ID()
	k := s.byHandshake[id]
	if k != nil {
		s.l.stats.Datagrams++
		if k.tid == wire.Absent {
			s.l.stats.Waiting++
		} else {
			s.l.stats.Repeated++
		}
	} else {
		key := Identity{r.Name(), s.prints[r.Name()]}
		k = &sealing{s: s, handshake: id, key: key, tid: wire.Absent, responder: r}
		s.byHandshake[id] = k
		s.in.SealedIntent(now, e, k)
	}
	if k.tid != wire.Absent && k.responder != nil && s.l.cfg.OfferDelay == 0 && s.l.cfg.Fleet == nil {
		return // its offer is on its way
	}
	k.path.from(e)
	if !k.queued && !k.settled {
		k.queued = true
		s.answers.push(k)
	}
}

// open opens a datagram of a sealed transaction. What does not open is counted.
func (s *envelope) open(k *sealing, e *loop.Envelope, m *wire.Message, b []byte) ([]byte, bool) {
	var c *seal.Channel
	n := m.Num
	switch m.Type {
	case wire.Data:
		if k.settled {
			s.l.stats.Late++
			return nil, false
		}
		if s.rcv == nil { // no segment belongs here
			s.l.stats.Unexpected++
			return nil, false
		}
		i, ok := s.rcv.receiver(e)
		if !ok {
			s.l.stats.Elsewhere++
			return nil, false
		}
		if k.session != nil {
			c = k.session.Channel(i)
		}
	case wire.ManifestType:
		c, n = k.orch, m.Seq
	default:
		s.l.stats.Unexpected++
		return nil, false
	}
	if c == nil || n < 0 || m.Seq < 0 || m.Data == nil {
		s.l.stats.Unopened++
		return nil, false
	}
	plain, err := c.Open(b, len(b)-len(m.Data), uint64(n))
	switch {
	case errors.Is(err, seal.ErrReplayed):
		s.l.stats.Replayed++
	case err != nil:
		s.l.stats.Unopened++
	}
	return plain, err == nil
}

// TakeOver is [Server.TakeOver]. Where a key is required, who asked without is not answered.
func (s *Sealed) TakeOver(now time.Time, h Handover) {
	if s.require {
		s.stats.Datagrams += uint64(len(h.Intents))
		s.stats.PlainIntents += uint64(len(h.Intents))
		h.Intents = nil
	}
	s.Server.TakeOver(now, h)
}
