//go:build !linux

package loop

import (
	"context"
	"errors"
	"net/netip"
)

// A Socket is a datagram socket to give to [Run]. There is none on this platform.
type Socket struct{}

// Listen fails with [errors.ErrUnsupported]: the loop is built on epoll.
func Listen(netip.AddrPort, Options) (*Socket, error) { return nil, errors.ErrUnsupported }

// New closes c and fails with [errors.ErrUnsupported].
func New(c Conn, _ Options) (*Socket, error) {
	_ = c.Close()
	return nil, errors.ErrUnsupported
}

// LocalAddr gives the zero value.
func (s *Socket) LocalAddr() netip.AddrPort { return netip.AddrPort{} }

// ReceiveBuffer gives 0.
func (s *Socket) ReceiveBuffer() int { return 0 }

// Stats gives the zero value.
func (s *Socket) Stats() Stats { return Stats{} }

// Offload gives false twice.
func (s *Socket) Offload() (sends, receives bool) { return false, false }

// Close fails with [errors.ErrUnsupported].
func (s *Socket) Close() error { return errors.ErrUnsupported }

// Run fails with [errors.ErrUnsupported].
func Run(context.Context, Handler, ...*Socket) error { return errors.ErrUnsupported }

// Zone gives ap back, and [errors.ErrUnsupported] if it has a zone.
func Zone(ap netip.AddrPort) (netip.AddrPort, error) {
	if ap.Addr().Zone() != "" {
		return ap, errors.ErrUnsupported
	}
	return ap, nil
}

func drive(context.Context, *Waker, Handler, []*Socket) error { return errors.ErrUnsupported }

// An event is what a goroutine wakes a loop by. There is none on this platform.
type event struct{}

func newEvent() (event, error) { return event{}, errors.ErrUnsupported }

func (event) set()         {}
func (event) clear()       {}
func (event) close() error { return nil }
