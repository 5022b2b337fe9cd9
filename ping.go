package mdalp

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"mdalp/icmp"
)

// PingConfig says how [Ping] pings. The zero value works.
type PingConfig struct {
	// Count is how many echoes each host gets; 3 if 0.
	Count int
	// Interval is the time from the last echo of a round, one to every host, to
	// the first of the next; 1 ms if 0.
	Interval time.Duration
	// Timeout is how long after the last echo answers are waited for; 2 s if 0. When
	// every host has answered something, three times the largest round trip do.
	Timeout time.Duration
	// Mode is the kind of socket: Auto tries a raw one, then an ICMP datagram
	// socket. Off is an error here.
	Mode icmp.Mode
	// Bind is the source address for hosts of its family; the kernel's choice if
	// zero.
	Bind netip.Addr
	// DropPrivileges is as in [Config].
	DropPrivileges bool
	// Logger gets messages that answer no echo, at level Debug; nobody if nil.
	Logger *slog.Logger
	// Progress, if not nil, is called with the Report as it stands every ProgressEvery
	// (100 ms if 0), in the loop's goroutine, which waits for it. The Report is valid only
	// during the call.
	Progress      func(*PingReport)
	ProgressEvery time.Duration

	// key seeds the cookies of the echoes and their identifier.
	key [32]byte
}

// PingReport tells what a [Ping] measured, or has measured so far.
type PingReport struct {
	Mode    icmp.Mode  // the kind of socket; of the IPv4 one if there were two
	Hosts   []HostPing // in the order of the hosts given
	Elapsed time.Duration
	// Duplicate counts second answers to one echo, Foreign messages that answer
	// no echo of ours, Malformed those that ICMP does not allow. They change nothing.
	Duplicate, Foreign, Malformed int64
}

// HostPing is one host's part of a [PingReport].
type HostPing struct {
	Addr   netip.Addr
	Echoes icmp.Stats
	// Err is the last error of an echo to it, of the network or of this host, such as
	// ENETUNREACH; nil if there was none, or if it has answered since. Only a refusal
	// (protocol unreachable) ends the pings to it.
	Err error
}

// Lost is the number of echoes that were sent and not answered.
func (h *HostPing) Lost() int { return h.Echoes.Sent - h.Echoes.Received }

// Silent is the number of hosts that answered nothing.
func (r *PingReport) Silent() (n int) {
	for i := range r.Hosts {
		if r.Hosts[i].Echoes.Received == 0 {
			n++
		}
	}
	return n
}

// Ping sends a few ICMP echoes to each of the hosts, over one socket for each
// address family that they need, and measures the round trips from the instant
// before the send to the kernel's stamp of the answer. Thousands of hosts take
// hardly longer than one: a round is one echo to each, back to back. A host that
// is named twice is pinged once and reported twice.
//
// The Report is never nil. Silence is no error, and neither is a host that cannot be
// sent to: see HostPing. The error is, or wraps,
//   - [ErrConfig], as a [ConfigError]: cfg cannot be used, or an address is no host's;
//   - [os.ErrPermission]: neither CAP_NET_RAW nor a group in ping_group_range;
//   - an [os.SyscallError] of the sockets;
//   - the cause of ctx, when it was cancelled: stopped at once, Report as it stood.
func Ping(ctx context.Context, hosts []netip.Addr, cfg *PingConfig) (*PingReport, error) {
	c := *cfg
	r := &PingReport{Hosts: make([]HostPing, len(hosts))}
	for i, h := range hosts {
		r.Hosts[i].Addr = h.Unmap()
	}
	switch {
	case c.Count < 0:
		return r, bad("Count", "counts and times may not be negative")
	case c.Interval < 0:
		return r, bad("Interval", "counts and times may not be negative")
	case c.Timeout < 0:
		return r, bad("Timeout", "counts and times may not be negative")
	case c.Mode == icmp.Off:
		return r, bad("Mode", "pings need a socket")
	}
	for i := range r.Hosts {
		if a := r.Hosts[i].Addr; !isHost(a) {
			return r, bad("hosts", "%v is no host's address", a)
		} else if a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
			return r, errNoZone("host", a)
		}
	}
	if c.Count == 0 {
		c.Count = icmp.DefaultCount
	}
	if c.ProgressEvery <= 0 {
		c.ProgressEvery = 100 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(hosts) == 0 {
		return r, nil
	}
	return r, ping(ctx, r, &c)
}

// isHost reports whether a may be the address of one host.
func isHost(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
