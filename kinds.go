package mdalp

import (
	"encoding"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Every kind below has the names that the command line and the JSON use: String gives them,
// a Parse function takes them, and so do MarshalText and UnmarshalText for encoding/json.
var (
	_ encoding.TextMarshaler   = Balance(0)
	_ encoding.TextUnmarshaler = (*Balance)(nil)
	_ encoding.TextMarshaler   = Phase(0)
	_ encoding.TextUnmarshaler = (*Phase)(nil)
	_ encoding.TextMarshaler   = RTO(0)
	_ encoding.TextUnmarshaler = (*RTO)(nil)
	_ encoding.TextMarshaler   = Op(0)
	_ encoding.TextUnmarshaler = (*Op)(nil)
)

// A Balance says how a payload is split over the receivers.
type Balance uint8

// The ways to split.
const (
	BalanceLatency  Balance = iota // by inverse latency of ICMP echoes: the protocol's rule (mode 1)
	BalanceEqual                   // the same to each; nobody is pinged
	BalanceNone                    // everything to one receiver (mode 2); nobody is pinged
	BalanceAdaptive                // as BalanceLatency at first; who is done helps who would finish last
)

var balanceNames = []string{"icmp", "equal", "none", "adaptive"}

// String gives the name that [ParseBalance] takes: icmp, equal, none or adaptive.
func (b Balance) String() string { return name("balance", balanceNames, b) }

// ParseBalance gives the balance that s names.
func ParseBalance(s string) (Balance, error) { return parse[Balance]("balance", balanceNames, s) }

// MarshalText implements [encoding.TextMarshaler]. It fails for a value without a name.
func (b Balance) MarshalText() ([]byte, error) { return marshal("balance", balanceNames, b) }

// UnmarshalText implements [encoding.TextUnmarshaler], as [ParseBalance] does.
func (b *Balance) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBalance(string(text))
	return err
}

// A Phase is a stage of a transfer.
type Phase uint8

// The phases, in their order.
const (
	PhaseWaiting   Phase = iota // for the offer
	PhasePinging                // the receivers
	PhaseSending                // the segments
	PhaseFinishing              // everything is acknowledged; the verdict is awaited
	PhaseFinished               // with or without success
)

var phaseNames = []string{"waiting", "pinging", "sending", "finishing", "finished"}

// String gives the name that [ParsePhase] takes: waiting, pinging, sending, finishing or
// finished.
func (p Phase) String() string { return name("phase", phaseNames, p) }

// ParsePhase gives the phase that s names.
func ParsePhase(s string) (Phase, error) { return parse[Phase]("phase", phaseNames, s) }

// MarshalText implements [encoding.TextMarshaler]. It fails for a value without a name.
func (p Phase) MarshalText() ([]byte, error) { return marshal("phase", phaseNames, p) }

// UnmarshalText implements [encoding.TextUnmarshaler], as [ParsePhase] does.
func (p *Phase) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePhase(string(text))
	return err
}

// An Op is what was attempted when a peer failed; see [PeerError].
type Op uint8

// What a peer can fail at.
const (
	OpIntent   Op = iota // the question for an offer
	OpManifest           // a question to the orchestrator in the midst of an extended transfer
	OpPayload            // to take the payload: the orchestrator's own answer
	OpData               // a segment
)

var opNames = []string{"intent", "manifest", "payload", "data"}

// String gives the name that [ParseOp] takes: intent, manifest, payload or data.
func (o Op) String() string { return name("op", opNames, o) }

// ParseOp gives the operation that s names.
func ParseOp(s string) (Op, error) { return parse[Op]("op", opNames, s) }

// MarshalText implements [encoding.TextMarshaler]. It fails for a value without a name.
func (o Op) MarshalText() ([]byte, error) { return marshal("op", opNames, o) }

// UnmarshalText implements [encoding.TextUnmarshaler], as [ParseOp] does.
func (o *Op) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOp(string(text))
	return err
}

// An RTO is the time after which a segment of the base protocol is repeated. Any positive
// duration is a fixed time of that length.
type RTO time.Duration

// The usual choices.
const (
	// RTOAdaptive follows the measured round trips (RFC 6298); it is 3 s before the first.
	RTOAdaptive RTO = 0
	// RTOFixed is the original client's time.
	RTOFixed = RTO(3 * time.Second)
)

// String gives what [ParseRTO] takes: adaptive, fixed, or a duration such as 500ms.
func (r RTO) String() string {
	switch r {
	case RTOAdaptive:
		return "adaptive"
	case RTOFixed:
		return "fixed"
	}
	return time.Duration(r).String()
}

// ParseRTO gives the RTO that s names: adaptive, fixed, or a positive duration in the form
// of [time.ParseDuration].
func ParseRTO(s string) (RTO, error) {
	switch s {
	case "adaptive":
		return RTOAdaptive, nil
	case "fixed":
		return RTOFixed, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return RTOAdaptive, fmt.Errorf("mdalp: rto %q is none of adaptive, fixed, or a time such as 500ms", s)
	}
	return RTO(d), nil
}

// MarshalText implements [encoding.TextMarshaler].
func (r RTO) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler], as [ParseRTO] does.
func (r *RTO) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRTO(string(text))
	return err
}

// name gives a value's name, or one that says that it has none, such as "balance(9)".
func name[T ~uint8](what string, names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", what, uint8(v))
}

// parse gives the value that s names.
func parse[T ~uint8](what string, names []string, s string) (T, error) {
	if i := slices.Index(names, s); i >= 0 {
		return T(i), nil
	}
	return 0, fmt.Errorf("mdalp: %s %q is none of %s", what, s, strings.Join(names, ", "))
}

// marshal gives a value's name as text.
func marshal[T ~uint8](what string, names []string, v T) ([]byte, error) {
	if int(v) >= len(names) {
		return nil, fmt.Errorf("mdalp: %s has no name", name(what, names, v))
	}
	return []byte(names[v]), nil
}
