package loop

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// maxPending bounds how often a call is repeated because of errors of earlier
// datagrams, and so how long a flood of ICMP errors can hold the loop up.
const maxPending = 64

// drain empties the error queue of socket i (ip(7), IP_RECVERR) and hands the errors
// on. It gives the number of those that came back from the network.
//
// Entries of local origin are passed over: the call that sent the datagram failed
// with the same error, and on an unconnected socket the entry lacks the port.
func (r *runner) drain(i int) (n int) {
	s := r.socks[i]
	for range maxPending * batch {
		peer, e := r.errs.recv(s.fd, &r.ctl, &r.z)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			break
		}
		ee := &r.ctl.err
		if ee.Origin != unix.SO_EE_ORIGIN_ICMP && ee.Origin != unix.SO_EE_ORIGIN_ICMP6 {
			continue
		}
		n++
		r.env = Envelope{Sock: i, Peer: peer}
		r.h.Fail(r.now, &r.env, syscall.Errno(ee.Errno))
	}
	return n
}
