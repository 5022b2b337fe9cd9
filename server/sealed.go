package server

import (
	"time"

	"mdalp/loop"
)

// The server speaks plain. Sealed transactions are opened and sealed by whoever stands
// around it, as the server of package seal does; what it has to know of them is here. A
// sealed payload belongs to its key: who has another one, or none, cannot resume it.

// An Identity is a key, as what does not have it may know of it. The zero value is none.
type Identity struct {
	// Name is what the operator calls it: at most 64 bytes, for people.
	Name string
	// Print tells it from others, and is of no help to find it.
	Print [16]byte
}

// sealed tells whether there is a key.
func (k *Identity) sealed() bool { return k.Print != [16]byte{} }

// A Seal is a sealed intent that was opened, and then the transaction that came of it, as
// whoever opened it knows it. Its methods must not call the server.
type Seal interface {
	// Identity is that of its key. It does not change.
	Identity() Identity
	// Begin is called once there is a transaction. From then on what is sent with that
	// number belongs to it; the next message of type 1 is its offer.
	Begin(tid int64)
	// Offered is called in a [Fleet], before the others are told of the transaction and again
	// if they could not be: its offer as it will be sent. It is false where that cannot be sealed,
	// and the transaction is withdrawn.
	Offered(plain []byte) bool
	// Settled is called when receivers have nothing to say any more. The orchestrator may
	// still repeat its verdict.
	Settled()
	// End is called once at the end of all: the transaction is forgotten, or the intent was
	// dropped before it had one.
	End()
}

// SealedIntent takes an intent that was opened. It draws an offer in the clear, as a plain
// intent does, now or when its turn comes, or k.End is called. A repeated one must not be
// given to it again: it makes a transaction of each, wherever it comes from.
func (s *Server) SealedIntent(now time.Time, e *loop.Envelope, k Seal) {
	s.orch.SealedIntent(now, e, k)
}

// SealedIntent is [Server.SealedIntent] where the receivers are elsewhere.
func (s *Orchestrator) SealedIntent(now time.Time, e *loop.Envelope, k Seal) {
	if now != s.expired {
		s.expire(now)
	}
	st := &s.stats
	st.Datagrams++
	st.Sealed++
	switch {
	case s.closed:
		st.AfterClose++
		k.End()
	case !answerable(e):
		st.Malformed++
		k.End()
	case s.draining:
		st.Draining++
		k.End()
	default:
		s.sealedIntent(now, e, k)
	}
	s.work(now)
}

// sealedIntent does so within the bounds of its source. Who has a key comes before strangers,
// as who has a cookie does.
func (s *Orchestrator) sealedIntent(now time.Time, e *loop.Envelope, k Seal) {
	from := sourceOf(e.Peer.Addr(), true)
	o := s.origins[from]
	if !s.limiter.may(now, from) && !s.mayWait(from, o) {
		s.stats.RateLimited++
		k.End()
		return
	}
	i := waiter{seal: k}
	i.from(e)
	s.heed(now, from, o, i)
}

// Counters are the server's own, for who stands around it and takes datagrams that it never
// sees.
func (s *Server) Counters() *Stats { return &s.stats }

// ReceiverAt is the index of the receiver that a datagram was sent to, or is sent from.
func (s *Server) ReceiverAt(e *loop.Envelope) (int, bool) { return s.rcv.receiver(e) }

// key is that of t's client.
func (t *transaction) key() (k Identity) {
	if t.seal != nil {
		k = t.seal.Identity()
	}
	return k
}

// line is what a line of the log has of t, and of its key.
func (t *transaction) line(attrs ...any) []any { return keyed(t.key().Name, attrs) }

// keyed adds the name of a key, if there is one.
func keyed(name string, attrs []any) []any {
	if name != "" {
		attrs = append(attrs, "key", name)
	}
	return attrs
}
