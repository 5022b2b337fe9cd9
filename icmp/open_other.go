//go:build !linux

package icmp

import (
	"errors"
	"net/netip"
)

// Open is for Linux. Elsewhere it fails with [errors.ErrUnsupported], except
// with [Off], which needs nothing.
func Open(family int, mode Mode, id uint16, bind netip.Addr) (Conn, Mode, error) {
	if mode == Off {
		return nil, Off, nil
	}
	return nil, Off, errors.ErrUnsupported
}
