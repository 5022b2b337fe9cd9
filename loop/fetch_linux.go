package loop

import (
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fetch receives one batch from socket i and hands it on. The socket stays ready
// when the batch was full; a short one tells that the queue is empty, so there is no
// call just to hear EAGAIN.
func (r *runner) fetch(i int) error {
	s := r.socks[i]
	s.ready = false
	for range maxPending {
		n, e := s.in.recv(s.fd)
		s.stats.Receives++
		switch {
		case e == 0:
			s.ready = n == batch
			r.receive(i, n)
			return nil
		case e == unix.EINTR:
		case e == unix.EAGAIN || e == unix.ENOMEM || e == unix.ENOBUFS:
			return nil
		case broken(e):
			return os.NewSyscallError("recvmmsg", e)
		default:
			// The error of an earlier datagram: it is told once, the next call
			// receives.
			r.drain(i)
		}
	}
	return nil
}

// receive hands the n datagrams in the inbox of socket i on.
func (r *runner) receive(i, n int) {
	s := r.socks[i]
	in := s.in
	r.hot = i
	s.stats.Received += uint64(n)
	r.got += uint64(n)
	r.bulk = in.msg[0].n >= bulky
	var wall int64
	if s.opts.Stamp {
		// One reading gives both clocks. It is taken after the call: a datagram may
		// have come since the wake-up.
		t := time.Now()
		r.now, wall = r.base.Add(t.Sub(r.base)), t.UnixNano()
	}
	e := &r.env
	*e = Envelope{Sock: i, At: r.now}
	for k := range n {
		b, ok := in.bytes(k)
		if !ok {
			s.stats.Truncated++
			continue
		}
		e.Peer = decode(&in.name[k], &r.z)
		if in.control {
			r.told(s, &in.msg[k].hdr, wall)
			if r.ctl.train > 0 {
				r.parts(s, e, b)
				continue
			}
		}
		r.h.Receive(r.now, e, b)
	}
	in.rearm(n)
}

// told fills the Envelope with what the control messages of a datagram tell.
func (r *runner) told(s *Socket, h *unix.Msghdr, wall int64) {
	e := &r.env
	r.ctl.parse(h, &r.z)
	e.Local, e.At = netip.AddrPort{}, r.now
	if r.ctl.local.IsValid() {
		e.Local = netip.AddrPortFrom(r.ctl.local, s.local.Port())
	}
	if age := wall - r.ctl.stamp; s.opts.Stamp && r.ctl.stamp != 0 && age > 0 {
		e.At = r.now.Add(-time.Duration(age))
	}
}

// broken tells the errors of a descriptor that is none, or no socket, from those of a
// datagram. Nothing that an ICMP message can bring about may be among them.
func broken(e syscall.Errno) bool {
	switch e {
	case unix.EBADF, unix.ENOTSOCK, unix.EFAULT, unix.EPIPE, unix.ENOSYS:
		return true
	}
	return false
}
