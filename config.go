package mdalp

import (
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/seal"
)

// A Transaction is one of the extended protocol, as far as it takes to resume it.
type Transaction struct {
	TID     int64
	Segment int // bytes of its segments; 0 if that is not known: the server tells
}

// Config says what to send where and how. Only Orchestrator is needed; the zero
// value of everything else means what its comment says.
type Config struct {
	// Orchestrator is asked for receivers. A link-local IPv6 address needs a zone.
	Orchestrator netip.AddrPort
	// Orchestrators are others of the same fleet. They are asked in turn where the one before
	// is silent or refuses: for an offer after 1 s, on each round after twice as long, up to 8 s,
	// or after IntentRetry; how a payload stands after 2 manifests. None goes with Key.
	Orchestrators []netip.AddrPort
	// Balance is how the payload is split; BalanceLatency if 0.
	Balance Balance
	// Receiver is the one that gets everything if Balance is BalanceNone: its place in
	// the offer, from 1. 0 means 1.
	Receiver int

	// Bind is the source address of everything sent; the kernel's choice if zero. With
	// the orchestrator an IPv4 host, receivers with an IPv6 address are reached only
	// if it is "::", which makes a socket for both that costs 3 % more CPU time.
	Bind netip.Addr
	// Ping is the kind of socket for the echoes: Auto tries a raw socket, then an
	// ICMP datagram socket, then goes on without.
	Ping icmp.Mode
	// Echoes is how many echoes each receiver gets; 3 if 0.
	Echoes int
	// EchoTimeout is how long an echo is waited for; 2 s if 0.
	EchoTimeout time.Duration

	// RTO is when a segment is repeated; RTOAdaptive if 0.
	RTO RTO
	// Tries is how often one segment is sent before its receiver is dead; 8 if 0. Who has
	// acknowledged nothing yet is sent 3 at most, and waited for as long. The receiver of
	// a segment is dead at once if its port is closed; errors that may pass, such as
	// ENETUNREACH, count as losses.
	Tries int
	// NoFailover keeps the segments of a dead receiver from the others: the balance
	// is kept and the transfer fails.
	NoFailover bool
	// Deadline bounds the whole of Send, lookups of names too; unbounded if 0.
	Deadline time.Duration
	// IntentTimeout bounds the wait for the offer; unbounded if 0, since real
	// orchestrators queue clients for minutes. An intent that fails, because this host or
	// a router refuses it for now, is sent again after 1, 2, 4, 8, 8 … s; where neither
	// this, Deadline nor IntentRetry is set, for 30 s.
	IntentTimeout time.Duration
	// IntentRetry repeats the intent at this interval, also when the orchestrator's port
	// is closed; never if 0, since a second intent may open a second transaction.
	IntentRetry time.Duration

	// Key, if not nil, seals the transaction: nobody without it can read, change or answer
	// anything of it, and only an orchestrator that has it too is spoken to. The extended protocol is
	// spoken then. Without an answer that opens the wait ends after 5 s, where IntentTimeout is 0;
	// the intent is repeated after 1, 2, 4, 8, 8 … s where IntentRetry is.
	Key *seal.Key
	// KeyLog, if not nil, gets what opens each sealed transaction, a line by one Write as soon as
	// its offer is there, in the loop's goroutine: a file is quick enough. It is for debugging. Who
	// can read it reads what was sent.
	KeyLog io.Writer
	// Base keeps the extended protocol from being spoken, whatever the offer says.
	Base bool
	// Segment is the most bytes in one segment of the extended protocol, and Window the most
	// segments in flight at one receiver; 0 is what path, receivers and congestion allow. A
	// Window of 1 is stop-and-wait.
	Segment, Window int
	// Rate, if not 0, is the most bytes a second that extended segments and their headers
	// take, over all receivers together.
	Rate int64
	// Offload says whether the kernel may cut trains of segments itself (UDP_SEGMENT);
	// loop.OffloadAuto if 0.
	Offload loop.Offload
	// NoVerify sends no digest: the transfer ends when everything is acknowledged.
	NoVerify bool
	// Name is told to the server, for people: at most 255 bytes of UTF-8.
	Name string
	// Resume, if not nil, is the transaction whose segments are to be taken over: what the
	// server has of them is not sent again. The payload must be the same. What cannot be
	// resumed is sent anew, with a warning.
	Resume *Transaction
	// Announced, if not nil, is told the transaction as soon as the server has taken its
	// announcement: what a later Resume needs. It may block, and comes again where a transfer
	// goes on in another transaction. It may be called after Send has returned.
	Announced func(Transaction)

	// DropPrivileges makes the process give up its capabilities for good: once the
	// sockets are open, and before it looks at any datagram. It is for commands, not for
	// programs that go on needing them.
	DropPrivileges bool
	// Logger gets what happens; nobody if nil. Retransmissions and the split are at
	// level Info, datagrams at Debug, what a user should know at Warn. It is called in
	// the loop's goroutine and must not block: while it does, nothing is sent, and
	// neither Deadline nor a cancelled context is seen.
	Logger *slog.Logger
	// Trace, if not nil, is told what happens as it does.
	Trace *Trace
	// Progress, if not nil, is called with an interim report at every change of
	// phase and every ProgressEvery (100 ms if 0) in the loop's goroutine. The report is
	// valid only during the call. It must not block, as Logger.
	Progress      func(*Report)
	ProgressEvery time.Duration

	// Capture, if not nil, gets everything sent and received, echoes too, as a pcapng
	// capture with comments. The IP headers in it are made up; the source address
	// is the socket's, or the one that the kernel would choose. A goroutine of its own
	// calls Write, and may: where 4 MiB wait to be written, packets are left out and
	// counted in a warning. At its end Send waits for what is left, for 2 s at most and
	// not beyond Deadline; if Write blocks still, it goes on after Send has returned.
	// Send does not close it. An error of it ends the capture with a warning, and not the
	// transfer.
	Capture io.Writer
}

// noEndpoint reports whether nothing can be sent to a.
func noEndpoint(a netip.AddrPort) bool { return !a.IsValid() || a.Port() == 0 }

// check looks for what no transfer can be made of.
func (c *Config) check() error {
	switch {
	case noEndpoint(c.Orchestrator):
		return bad("Orchestrator", "the orchestrator's address and port are needed")
	case slices.ContainsFunc(c.Orchestrators, noEndpoint):
		return bad("Orchestrators", "each orchestrator's address and port are needed")
	case c.Receiver < 0:
		return bad("Receiver", "receiver %d: receivers count from 1", c.Receiver)
	case c.Base && c.Key != nil:
		return bad("Base", "the base protocol cannot be sealed: a key and base exclude each other")
	case c.Resume != nil && (c.Resume.TID < 0 || c.Resume.Segment < 0):
		return bad("Resume", "transaction %d with segments of %d bytes is none", c.Resume.TID,
			c.Resume.Segment)
	}
	for _, n := range []struct {
		field string
		value int64
	}{
		{"Echoes", int64(c.Echoes)}, {"EchoTimeout", int64(c.EchoTimeout)}, {"RTO", int64(c.RTO)},
		{"Tries", int64(c.Tries)},
		{"Deadline", int64(c.Deadline)}, {"IntentTimeout", int64(c.IntentTimeout)},
		{"IntentRetry", int64(c.IntentRetry)},
		{"Segment", int64(c.Segment)}, {"Window", int64(c.Window)}, {"Rate", c.Rate},
	} {
		if n.value < 0 {
			return bad(n.field, "counts and times may not be negative")
		}
	}
	return nil
}
