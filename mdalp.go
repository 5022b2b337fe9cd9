// Package mdalp sends a payload to the receivers that an orchestrator names, by
// the Multi Destination Application Layer Protocol.
//
// [Send] asks the orchestrator for receivers (Type 0, Type 1), measures how far
// each is with raw ICMP echoes, splits the payload over them by inverse latency and
// sends the parts side by side over one UDP socket, each segment repeated until
// it is acknowledged (Type 2, Type 3). It returns a [Report] that tells what each
// receiver was sent and acknowledged, also when it fails.
//
// The protocol is described in PROTOCOL.md, the packages below this one in
// ARCHITECTURE.md.
package mdalp

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// Version is the version of this module, as the commands print it.
const Version = "0.1.0"

// Port is the UDP port on which receivers listen.
const Port = 4650

// Resolve gives the address of an orchestrator, the first of [ResolveAll].
func Resolve(ctx context.Context, host string, port uint16, family int) (netip.AddrPort, error) {
	all, err := ResolveAll(ctx, host, port, family)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return all[0], nil
}

// ResolveAll gives the addresses behind a host, one at least: of several, the first is for
// Config.Orchestrator and the rest for Config.Orchestrators. host is an IPv4 or IPv6 address or a
// name; family is 4 or 6 to accept only that, or 0 for either, where IPv4 wins
// because the original receivers know nothing else. Only where this host has no way
// to a name's IPv4 address, and one to that of IPv6, the latter's are taken.
func ResolveAll(ctx context.Context, host string, port uint16, family int) ([]netip.AddrPort, error) {
	addr, err := netip.ParseAddr(host)
	if err == nil {
		addr = addr.Unmap()
		if family == 4 && !addr.Is4() || family == 6 && addr.Is4() {
			return nil, fmt.Errorf("%s is no IPv%d address", host, family)
		}
		return []netip.AddrPort{netip.AddrPortFrom(addr, port)}, nil
	}
	network := map[int]string{0: "ip", 4: "ip4", 6: "ip6"}[family]
	all, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil {
		return nil, err
	}
	var to []netip.AddrPort
	for _, a := range choose(all, hasWay) {
		to = append(to, netip.AddrPortFrom(a, port))
	}
	return to, nil
}

// choose takes those of a name's addresses that are of one family. There is one at least.
func choose(all []netip.Addr, way func(netip.Addr) bool) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	if len(v6) == 0 || len(v4) > 0 && (way(v4[0]) || !way(v6[0])) {
		return v4
	}
	return v6
}

// hasWay reports whether this host knows where to send what is for a. Nothing is sent.
func hasWay(a netip.Addr) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, Port)))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Send delivers the size bytes of src to the receivers that cfg.Orchestrator
// assigns, and returns once every byte is acknowledged.
//
// The Report is never nil. The error is nil only if everything was acknowledged and, in the
// extended protocol, the server has it whole and kept (unless NoVerify is set);
// else it is, or wraps,
//   - [ErrConfig], as a [ConfigError]: cfg, or cfg.Receiver for the offer that came, cannot be used;
//   - [ErrNoOffer], [ErrBadOffer]: there are no receivers to send to;
//   - a [PeerError] alone: this host would not send the intent;
//   - [ErrIncomplete]: some bytes were not acknowledged, the Report lists which;
//   - [ErrRefused], [ErrDamaged]: the server will not have it, or has something else;
//   - [ErrUnverified]: everything was acknowledged, and no verdict came;
//   - [ErrPayload]: src could not be read;
//   - the cause of ctx, when it was cancelled: stopped at once, Report as it stood;
//   - an [os.SyscallError] of the sockets.
//
// src is read as it is sent, in pieces, by one goroutine.
func Send(ctx context.Context, src io.ReaderAt, size int64, cfg *Config) (*Report, error) {
	c, err := newRun(cfg)
	if err != nil {
		return &Report{Size: size}, err
	}
	return send(ctx, src, size, c)
}

// lookup gives the address of a host name in an offer, not valid if it has none.
func lookup(ctx context.Context, host string) netip.Addr {
	a, err := Resolve(ctx, host, 0, 0)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr()
}
