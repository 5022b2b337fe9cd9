package loop

import (
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Segmentation offload (UDP_SEGMENT and UDP_GRO of udp(7)): datagrams in a row to one
// peer and of one length, but for the last, which may be shorter, pass through the kernel as one
// message, a train, and are cut at its lower end. At 1,200 bytes that spares the sender nine
// tenths of its CPU time if the receiver takes trains as well, and a fifth if not. On the wire
// nothing shows.
//
// That the kernel knows the option proves nothing: whether a train can be cut depends on the
// path. The same datagrams then go one by one, and trains to that peer are at an end.

const (
	// maxTrain is how many datagrams a train may have: UDP_MAX_SEGMENTS of most kernels.
	maxTrain = 64
	// maxRefusing is how many hosts may refuse trains before a socket sends none at all.
	maxRefusing = 8
	// bulk is how many datagrams must have been too long for their slots to make all slots
	// longer, and fewer where they are very long, though never fewer than leastRoom.
	bulk, leastRoom = 8, 8
	// enotsupp is an errno of the kernel's inside that some drivers let out.
	enotsupp = syscall.Errno(524)
)

// couple makes messages of the datagrams that were put, trains among them.
func (r *runner) couple() {
	o := r.out
	m := 0
	for i := 0; i < o.n; m++ {
		s := r.socks[o.sock[i]]
		n := o.run(i, s)
		if n > 1 && len(s.refusing) > 0 && slices.Contains(s.refusing, decode(&o.name[i], &r.z).Addr()) {
			n = 1
		}
		if o.msg[m].hdr, o.sock[m] = o.msg[i].hdr, o.sock[i]; n > 1 {
			o.segments(m, i, n, uint16(o.iov[i].Len))
		}
		i += n
	}
	o.m = m
}

// run is how many datagrams from i on can be one train.
func (o *outbox) run(i int, s *Socket) (n int) {
	size := int(o.iov[i].Len)
	if !s.trains || s.opts.Stamp || size == 0 {
		return 1
	}
	total, short := size, false
	for n = 1; n < maxTrain && i+n < o.n && !short; n++ {
		k := i + n
		l := int(o.iov[k].Len)
		if l == 0 || l > size || total+l > longest || o.sock[k] != o.sock[i] || !o.sameWay(i, k) {
			break
		}
		total, short = total+l, l < size
	}
	return n
}

// sameWay tells whether two datagrams of one socket have the same peer, and the same source.
func (o *outbox) sameWay(i, k int) bool {
	a, b := &o.msg[i].hdr, &o.msg[k].hdr
	return sameStart(&o.name[i], &o.name[k]) &&
		(a.Namelen == unix.SizeofSockaddrInet4 || o.name[i] == o.name[k]) &&
		a.Controllen == b.Controllen && (a.Controllen == 0 || o.sameSource(i, k))
}

// lengthen gives slot i memory of its own for the next time, since b was too long for it: what
// append gave may be the Handler's to keep, and bulk traffic would allocate for ever.
func (o *outbox) lengthen(i int, b []byte) {
	o.slot[i] = make([]byte, 0, cap(b))
	o.grown++
	o.longer = max(o.longer, len(b))
}

// widen makes room for more datagrams, and longer ones.
func (o *outbox) widen() {
	size := o.stride
	if o.longer > size {
		// With some room to spare, or lengths that rise by and by would come here each time.
		size = max((o.longer+63)&^63+64, o.stride+o.stride/4)
	}
	n := min(max(arenaSize/size, leastRoom), most)
	if train := min(maxTrain, longest/max(o.longer, o.stride/2)); n > train {
		n -= n % train // so that the last train of a batch is not cut short
	}
	o.grown = 0
	if size != o.stride || n != o.room {
		o.grow(size, n)
	}
}

// count is the number of datagrams and of trains in n messages from i on.
func (o *outbox) count(i, n int) (datagrams, trains int) {
	if o.n == o.m {
		return n, 0
	}
	for k := range n {
		l := int(o.msg[i+k].hdr.Iovlen)
		if datagrams += l; l > 1 {
			trains++
		}
	}
	return datagrams, trains
}

// refuses tells the errors by which the kernel says that a train cannot be cut: EIO where the
// path computes no checksums or has IPsec, EINVAL where datagrams are longer than the path takes, or
// have no checksum, EMSGSIZE for the same from Linux 6.14 on.
func refuses(e syscall.Errno) bool {
	switch e {
	case unix.EIO, unix.EINVAL, unix.EMSGSIZE, unix.EOPNOTSUPP, enotsupp:
		return true
	}
	return false
}

// uncouple has the datagrams of message i go one by one, because the kernel refuses the
// train. They are the same bytes in the same order.
func (o *outbox) uncouple(i int) {
	o.apart = int(o.msg[i].hdr.Iovlen)
	o.single(i)
}

// deliverApart sends what is left of message i. done is false when one has to wait for room.
func (r *runner) deliverApart(i int) (done bool, err error) {
	o := r.out
	s := r.socks[o.sock[i]]
	left := o.apart
	for o.apart = 0; left > 0; left-- {
		before := s.stats.Sent
		next, err := r.deliver(i, i+1)
		if next == i {
			o.apart = left
			return false, err
		}
		if s.stats.Sent != before {
			// So it was the train that was refused, and not what is in it.
			s.refused(decode(o.peer(i), &r.z).Addr())
		}
		o.advance(i)
	}
	return true, nil
}

// refused ends trains to a host, or all of them: with many hosts it is not theirs but this one's
// path that takes none.
func (s *Socket) refused(host netip.Addr) {
	if !s.trains || slices.Contains(s.refusing, host) {
		return
	}
	s.stats.Refusing++
	if s.refusing = append(s.refusing, host); len(s.refusing) == maxRefusing {
		s.trains = false
	}
}

// parts hands the datagrams of a train on, of which one is counted already.
func (r *runner) parts(s *Socket, e *Envelope, b []byte) {
	size := r.ctl.train
	for ; len(b) > size; b = b[size:] {
		s.stats.Received++
		r.got++
		r.h.Receive(r.now, e, b[:size:size])
	}
	r.h.Receive(r.now, e, b)
}

// offload finds out what the kernel can do for a UDP socket, and asks it to hand on trains
// as they are.
func (s *Socket) offload() {
	if s.opts.Offload == OffloadOff || s.opts.Stamp {
		return // what is stamped leaves alone
	}
	// A kernel before Linux 4.18 would ignore the size in the control message, and send the
	// train as one datagram.
	_, err := s.option(unix.SOL_UDP, unix.UDP_SEGMENT)
	s.trains = err == nil
	s.merged = s.opts.Trains && s.setOption(unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	if s.merged {
		s.opts.MaxDatagram = DefaultMaxDatagram // a train is as long, and would be cut off
	}
}

// Offload reports whether datagrams leave in trains, and whether trains are taken as they
// come. Both may be off from the start, by [Options] or for want of the kernel's help (before Linux
// 4.18 and 5.0), and the first ends when too many paths refuse trains.
func (s *Socket) Offload() (sends, receives bool) { return s.trains, s.merged }
