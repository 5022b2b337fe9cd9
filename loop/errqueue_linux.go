package loop

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// maxPending bounds how often a call is repeated because of errors of earlier
	// datagrams.
	maxPending = 64
	// maxErrors bounds how many errors are taken at a time, and so how long a flood of ICMP
	// messages can hold the loop up. The poller tells of the rest.
	maxErrors = 4 * batch
)

// drain takes what is in the error queue of socket i (ip(7), IP_RECVERR) and hands it
// on. It gives the number of errors that came back from the network.
//
// Entries of local origin are passed over: the call that sent the datagram failed
// with the same error, and on an unconnected socket the entry lacks the port.
func (r *runner) drain(i int) (n int) {
	s := r.socks[i]
	for range maxErrors {
		peer, quote, e := r.errs.recv(s.fd, &r.ctl, &r.z)
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
		r.env = Envelope{Sock: i, Peer: peer, Remote: true, Quote: quote}
		r.h.Fail(r.now, &r.env, syscall.Errno(ee.Errno))
	}
	return n
}

// remote tells the errors that only an ICMP message makes: a datagram's own never is one.
func remote(e syscall.Errno) bool {
	return e == unix.ECONNREFUSED || e == unix.ENOPROTOOPT || e == unix.EPROTO
}
