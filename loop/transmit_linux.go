package loop

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// longest is the most bytes of a UDP datagram over IPv4 (RFC 768), and of one over IPv6
// but for 20.
const longest = 65507

// unstamped is how many datagrams in a row may be for sockets that stamp none before the clock
// is read no more for each: it is a long row then, and a reading is a tenth of a segment.
const unstamped = 8

// transmit sends what was left over and then what the Handler has, a batch at most.
// full tells that there may be more.
func (r *runner) transmit() (full bool, err error) {
	if r.blocked {
		return false, nil
	}
	o := r.out
	if o.n > 0 {
		if err := r.flush(); err != nil || r.blocked {
			return false, err
		}
	}
	k, since := 0, 0
	// k counts Transmits, not slots: datagrams that go alone or nowhere fill none.
	for ; k < o.room; k++ {
		if since++; r.stamped && since <= unstamped {
			// Only the Handler knows whether this one is for a stamped socket.
			r.now = r.clock()
		}
		r.env = Envelope{}
		i := o.n
		b, ok := r.h.Transmit(r.now, &r.env, o.slot[i])
		if !ok {
			break
		}
		if cap(b) > cap(o.slot[i]) {
			o.lengthen(i, b)
		}
		s := r.socks[r.env.Sock]
		if !o.put(s, &r.env, b, &r.z) {
			r.env.Local = Envelope{}.Local
			r.h.Fail(r.now, &r.env, unix.EAFNOSUPPORT)
			continue
		}
		if !s.opts.Stamp {
			continue
		}
		since = 0
		// Alone and now, ahead of what the batch holds for other sockets.
		if n, err := r.deliver(i, o.n); err != nil {
			return false, err
		} else if n == i {
			break
		}
		o.n = i
	}
	full = k == o.room
	if o.m = o.n; o.alike {
		r.couple()
	}
	if o.grown >= bulk || full && o.m < o.n {
		o.widen()
	}
	err = r.flush()
	return full && !r.blocked, err
}

// flush sends what is in the outbox, in order, a system call for each run of
// datagrams for one socket. Where a socket has no room it stops and leaves the tail
// as it is.
func (r *runner) flush() error {
	o := r.out
	for o.first < o.m && !r.blocked {
		id := o.sock[o.first]
		end := o.first + 1
		for end < o.m && o.sock[end] == id && !r.socks[id].opts.Stamp {
			end++
		}
		n, err := r.deliver(o.first, end)
		if err != nil {
			return err
		}
		o.first = n
		if s := r.socks[id]; s.writing && !r.blocked {
			s.writing = false
			if err := r.poll.writable(s, id, false); err != nil {
				return err
			}
		}
	}
	if o.first == o.m {
		if o.alike {
			o.restore(0, o.n)
			o.alike = false
		}
		o.first, o.m, o.n = 0, 0, 0
	}
	return nil
}

// deliver sends messages i to end-1, all for one socket. It gives the number of the
// first that has to wait for room, or end. A message that cannot be sent is told to
// the Handler and passed over.
func (r *runner) deliver(i, end int) (int, error) {
	o, id := r.out, r.out.sock[i]
	s := r.socks[id]
	fruitless, tries := 0, 0
	for i < end {
		if o.apart > 0 {
			if done, err := r.deliverApart(i); !done {
				return i, err
			}
			i++
			continue
		}
		n, e := o.send(s.fd, i, end)
		s.stats.Sends++
		switch {
		case e == 0:
			datagrams, trains := o.count(i, n)
			s.stats.Sent += uint64(datagrams)
			s.stats.Trains += uint64(trains)
			i += n
			fruitless, tries = 0, 0
		case e == unix.EINTR:
		case e == unix.EAGAIN:
			s.stats.Blocked++
			r.blocked = true
			if s.writing {
				return i, nil
			}
			s.writing = true
			return i, r.poll.writable(s, id, true)
		case e == unix.ENOBUFS || e == unix.ENOMEM:
			// Lost, as on any link. To try again would be a busy loop at the worst
			// of times; the protocol resends.
			s.stats.Lost += uint64(o.msg[i].hdr.Iovlen)
			i++
		case broken(e):
			return i, os.NewSyscallError("sendmmsg", e)
		default:
			if r.retry(i, e, &fruitless, &tries) {
				continue
			}
			switch {
			case o.msg[i].hdr.Iovlen > 1 && refuses(e):
				o.uncouple(i)
				continue
			case remote(e) && s.opts.Errors:
				// Errors of others came faster than they could be taken. This message
				// must not be blamed for them.
				s.stats.Lost += uint64(o.msg[i].hdr.Iovlen)
			default:
				r.env = Envelope{Sock: id, Peer: decode(o.peer(i), &r.z)}
				r.h.Fail(r.now, &r.env, e)
			}
			i++
			fruitless, tries = 0, 0
		}
	}
	return i, nil
}

// retry reports whether to send message i again, that failed with e. The error is its own,
// or that of an earlier one, which is told once and stands in the error queue as
// well. Another try tells, also when the queue was drained a moment before the kernel
// noted the error for the next call.
func (r *runner) retry(i int, e syscall.Errno, fruitless, tries *int) bool {
	id := r.out.sock[i]
	s := r.socks[id]
	if r.drain(id) == 0 && !(remote(e) && s.opts.Errors) {
		*fruitless++
	}
	if *tries++; *tries < maxPending && *fruitless < 2 {
		return true
	}
	if h := &r.out.msg[i].hdr; e == unix.EMSGSIZE && h.Iovlen == 1 && h.Iov.Len <= longest && s.fragment() {
		*fruitless, *tries = 0, 0
		return true
	}
	return false
}
