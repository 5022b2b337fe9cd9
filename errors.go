package mdalp

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"mdalp/loop"
)

// What a caller decides on; see [Send].
var (
	ErrConfig     = errors.New("bad configuration")
	ErrNoOffer    = errors.New("no offer")
	ErrBadOffer   = errors.New("bad offer")
	ErrIncomplete = errors.New("incomplete")
	ErrPayload    = errors.New("payload")
	// ErrUnverified is of an extended transfer of which everything was acknowledged: nobody
	// has said that it is whole.
	ErrUnverified = errors.New("acknowledged, but not verified")
)

// Why there is no offer, or why a transfer ended before all was acknowledged.
// They stand beside ErrNoOffer or ErrIncomplete in an error's tree.
var (
	ErrIntentTimeout = errors.New("the orchestrator did not answer in time")
	ErrDeadline      = errors.New("the deadline passed")
	ErrAllDead       = errors.New("no receiver is left")
	ErrNoTakeover    = errors.New("a receiver is dead and no other may take its segments over")
)

// A PeerError says which peer failed, at what, and why.
type PeerError struct {
	Peer netip.AddrPort
	Op   string // "intent", "data"
	Err  error
}

// Error gives "data to 192.0.2.1:4650: connection refused".
func (e *PeerError) Error() string { return fmt.Sprintf("%s to %v: %v", e.Op, e.Peer, e.Err) }

// Unwrap gives the cause.
func (e *PeerError) Unwrap() error { return e.Err }

// hard reports whether an error says that the peer itself will have nothing of us: its
// port, or UDP, is unreachable. Any other error, of the network or of this host, may be
// gone a moment later, and counts as a loss (RFC 1122, section 4.2.3.9).
func hard(e *loop.Envelope, err error) bool {
	return e.Remote && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOPROTOOPT) || errors.Is(err, syscall.EPROTO))
}
