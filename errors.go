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

// A ConfigError says which field of a [Config] or [PingConfig], or which argument, cannot be
// used, and why. It is an [ErrConfig].
type ConfigError struct {
	Field string // its name, such as "Receiver"; "size" and "hosts" are arguments
	Err   error  // what is wrong with it, in words that do not need the name
}

// Error gives "bad configuration: receiver 9 of 3 does not exist".
func (e *ConfigError) Error() string { return ErrConfig.Error() + ": " + e.Err.Error() }

// Unwrap gives ErrConfig and the cause.
func (e *ConfigError) Unwrap() []error { return []error{ErrConfig, e.Err} }

// bad is a ConfigError of a field; the rest is as for fmt.Errorf.
func bad(field, format string, args ...any) error {
	return &ConfigError{field, fmt.Errorf(format, args...)}
}

// A PeerError says which peer failed, at what, and why.
type PeerError struct {
	Peer netip.AddrPort
	Op   Op
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
	return e.Remote && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOPROTOOPT) ||
		errors.Is(err, syscall.EPROTO))
}
