//go:build !linux

package main

import (
	"log/slog"
	"net/netip"

	"mdalp/loop"
)

// passed are sockets that whoever started the program has opened for it. Here there are none.
type passed struct{}

func inherit() (*passed, error) { return nil, nil }

func (p *passed) find(netip.AddrPort) *passed { return nil }

func (p *passed) bind(what string, a netip.AddrPort) (*loop.Socket, error) { return bind(what, a) }

func (p *passed) rest() error { return nil }

func (p *passed) warn(*slog.Logger) {}
