//go:build !linux

package lab

import (
	"errors"
	"net/netip"

	"mdalp/loop"
)

// A Network is a network namespace of our own; there is none on this system.
type Network struct{}

// Enter fails with [errors.ErrUnsupported]: namespaces are Linux's.
func Enter() (n *Network, code int, err error) { return nil, 0, errors.ErrUnsupported }

func (*Network) play([]netip.Addr) error { return errors.ErrUnsupported }

func (*Network) families() []int { return nil }

func openEcho(int) (*loop.Socket, error) { return nil, errors.ErrUnsupported }
