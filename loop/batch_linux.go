package loop

import (
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is the border to the kernel and the only one with package unsafe.
// All vectors are made once and stay on the heap: the kernel reads pointers out
// of them, so nothing in them may ever live on a goroutine's moving stack. The
// calls are raw because x/sys wraps neither recvmmsg(2), sendmmsg(2) nor
// epoll_pwait2(2), and its sendto and recvfrom allocate an address per datagram.

const (
	// batch is the number of datagrams moved by one system call. Larger batches
	// gain nothing measurable, one datagram a call costs a third more CPU.
	batch = 64
	// slotSize is what a transmit slot holds before append has to grow it. Small
	// slots keep a batch within four pages.
	slotSize = 256
	// skew keeps slots of a power of two from falling on the same cache sets.
	skew = 192
	// ctlWords is the room for control messages in 8-byte words: packet info of
	// either family, a time stamp and an extended error fit together.
	ctlWords = 24
	// quoteSize holds what an ICMP error quotes of a datagram: 8 bytes at least, and 548
	// from a host that does as RFC 1812, section 4.3.2.3 says.
	quoteSize = 552
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// timespec is struct __kernel_timespec, 64 bits wide on every architecture.
type timespec struct{ sec, nsec int64 }

// A vector is a batch of message headers with what they point to.
type vector struct {
	msg  [batch]mmsghdr
	iov  [batch]unix.Iovec
	name [batch]unix.RawSockaddrInet6 // or an Inet4, which is smaller
	ctl  [batch][ctlWords]uint64
}

func (v *vector) init() {
	for i := range v.msg {
		h := &v.msg[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&v.name[i]))
		h.Namelen = unix.SizeofSockaddrInet6
		h.Iov = &v.iov[i]
		h.SetIovlen(1)
	}
}

// An inbox is what one socket receives into.
type inbox struct {
	vector
	mem     []byte
	stride  int
	control bool
}

// newInbox takes its slots from mmap(2), not from the garbage collected heap: 64
// full-size datagrams are 4 MiB, enough to start a collection, though only the
// pages that datagrams touch ever cost memory.
func newInbox(size int, control bool) (*inbox, error) {
	in := &inbox{stride: (size+63)&^63 + skew, control: control}
	mem, err := unix.Mmap(-1, 0, in.stride*batch, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	in.mem = mem
	in.init()
	for i := range in.iov {
		in.iov[i].Base = &mem[i*in.stride]
		in.iov[i].SetLen(size)
	}
	in.rearm(batch)
	return in, nil
}

func (in *inbox) free() { _ = unix.Munmap(in.mem) }

// rearm gives the first n headers back what the kernel overwrote in them.
func (in *inbox) rearm(n int) {
	for i := range in.msg[:n] {
		h := &in.msg[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if in.control {
			h.Control = (*byte)(unsafe.Pointer(&in.ctl[i]))
			h.SetControllen(ctlWords * 8)
		}
	}
}

// recv fills the inbox once, without waiting.
func (in *inbox) recv(fd int) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.msg)), batch, unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// bytes is datagram i; ok is false when it was longer than its slot.
func (in *inbox) bytes(i int) (b []byte, ok bool) {
	m := &in.msg[i]
	return in.mem[i*in.stride:][:m.n:m.n], m.hdr.Flags&unix.MSG_TRUNC == 0
}

// control is what the control messages of one datagram tell.
type control struct {
	local netip.Addr // zero when not told
	stamp int64      // CLOCK_REALTIME in ns; 0 when not told
	err   unix.SockExtendedErr
}

// parse reads the control messages of h; z names IPv6 zones. See cmsg(3), ip(7),
// ipv6(7) and socket(7).
func (c *control) parse(h *unix.Msghdr, z *zones) {
	*c = control{}
	n := int(h.Controllen)
	if h.Control == nil || n == 0 {
		return
	}
	b := unsafe.Slice(h.Control, n)
	for len(b) >= unix.SizeofCmsghdr {
		m := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		l := int(m.Len)
		if l < unix.CmsgLen(0) || l > len(b) {
			return
		}
		data := b[unix.CmsgLen(0):l]
		switch {
		case m.Level == unix.SOL_SOCKET && m.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			c.stamp = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
		case m.Level == unix.SOL_IP && m.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// For a datagram to a broadcast or multicast address this is the interface's own,
			// from which it can be answered; for any other it is where the datagram went to.
			c.local = netip.AddrFrom4((*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Spec_dst)
		case m.Level == unix.SOL_IPV6 && m.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			p := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
			c.local = z.addr(p.Addr, p.Ifindex)
		case (m.Level == unix.SOL_IP && m.Type == unix.IP_RECVERR || m.Level == unix.SOL_IPV6 && m.Type == unix.IPV6_RECVERR) &&
			len(data) >= int(unsafe.Sizeof(c.err)):
			c.err = *(*unix.SockExtendedErr)(unsafe.Pointer(&data[0]))
		}
		b = b[min(unix.CmsgSpace(l-unix.CmsgLen(0)), len(b)):]
	}
}

// decode reads a socket address; the zero value when it is of no known family.
func decode(sa *unix.RawSockaddrInet6, z *zones) netip.AddrPort {
	p := (*[2]byte)(unsafe.Pointer(&sa.Port)) // network order, same place in both families
	port := uint16(p[0])<<8 | uint16(p[1])
	switch sa.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(z.addr(sa.Addr, sa.Scope_id), port)
	}
	return netip.AddrPort{}
}

// encode writes ap as an address of family, gives its length, or 0 when a socket of
// that family cannot reach it.
func encode(sa *unix.RawSockaddrInet6, family uint16, ap netip.AddrPort, z *zones) uint32 {
	a := ap.Addr()
	p := (*[2]byte)(unsafe.Pointer(&sa.Port))
	p[0], p[1] = byte(ap.Port()>>8), byte(ap.Port())
	sa.Family = family
	if family == unix.AF_INET {
		if !a.Is4() && !a.Is4In6() {
			return 0
		}
		(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr = a.As4()
		return unix.SizeofSockaddrInet4
	}
	if !a.IsValid() {
		return 0
	}
	sa.Flowinfo, sa.Scope_id = 0, 0
	sa.Addr = a.As16()
	if zone := a.Zone(); zone != "" {
		sa.Scope_id = z.index(zone)
	}
	return unix.SizeofSockaddrInet6
}

// An outbox is what the loop sends from: datagrams first to n-1 are not sent yet.
type outbox struct {
	vector
	first, n int
	sock     [batch]int
	slot     [batch][]byte // the memory that Transmit appends to
	body     [batch][]byte // what it gave: keeps memory alive that only the kernel's iovec knows
}

func newOutbox() *outbox {
	o := new(outbox)
	o.init()
	mem := make([]byte, batch*slotSize)
	for i := range o.slot {
		o.slot[i] = mem[i*slotSize:][:0:slotSize]
	}
	return o
}

// put makes datagram n of b, e; false when the socket's family cannot reach e.Peer.
func (o *outbox) put(s *Socket, e *Envelope, b []byte, z *zones) bool {
	i := o.n
	h := &o.msg[i].hdr
	if h.Namelen = encode(&o.name[i], s.family, e.Peer, z); h.Namelen == 0 {
		return false
	}
	o.sock[i], o.body[i] = e.Sock, b
	o.iov[i].Base = unsafe.SliceData(b)
	o.iov[i].SetLen(len(b))
	h.Control = nil
	h.SetControllen(0)
	if e.Local.IsValid() {
		o.from(i, s.family, e.Local.Addr(), z)
	}
	o.n++
	return true
}

// from asks for a source address (ip(7), IP_PKTINFO; RFC 3542, section 6.1).
func (o *outbox) from(i int, family uint16, a netip.Addr, z *zones) {
	m := (*unix.Cmsghdr)(unsafe.Pointer(&o.ctl[i]))
	h := &o.msg[i].hdr
	h.Control = (*byte)(unsafe.Pointer(m))
	data := unsafe.Add(unsafe.Pointer(m), unix.CmsgLen(0))
	// An IPv4 destination wants an IPv4 source on a dual-stack socket as well.
	if a.Is4() || a.Is4In6() {
		m.Level, m.Type = unix.SOL_IP, unix.IP_PKTINFO
		m.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(data) = unix.Inet4Pktinfo{Spec_dst: a.As4()}
		h.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
		return
	}
	m.Level, m.Type = unix.SOL_IPV6, unix.IPV6_PKTINFO
	m.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	p := unix.Inet6Pktinfo{Addr: a.As16()}
	if zone := a.Zone(); zone != "" {
		p.Ifindex = z.index(zone)
	}
	*(*unix.Inet6Pktinfo)(data) = p
	h.SetControllen(unix.CmsgSpace(unix.SizeofInet6Pktinfo))
}

// send sends datagrams i to end-1 through fd, without waiting; gives how many went.
func (o *outbox) send(fd, i, end int) (int, syscall.Errno) {
	if end-i == 1 {
		// sendmsg(2) spares the copy back of the count.
		_, _, e := syscall.RawSyscall6(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&o.msg[i].hdr)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0, 0)
		if e != 0 {
			return 0, e
		}
		return 1, 0
	}
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&o.msg[i])), uintptr(end-i), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// An errbox is what errors are received into.
type errbox struct {
	hdr   unix.Msghdr
	iov   unix.Iovec
	name  unix.RawSockaddrInet6
	ctl   [ctlWords]uint64
	quote [quoteSize]byte
}

// recv takes the next entry of fd's error queue (recv(2), MSG_ERRQUEUE): the error,
// the address that the failed datagram went to, and as much of the datagram as the ICMP
// message held, at most quoteSize bytes.
func (b *errbox) recv(fd int, c *control, z *zones) (peer netip.AddrPort, quote []byte, e syscall.Errno) {
	b.name.Family = unix.AF_UNSPEC
	b.iov.Base = &b.quote[0]
	b.iov.SetLen(len(b.quote))
	b.hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&b.name)), Namelen: unix.SizeofSockaddrInet6, Iov: &b.iov, Control: (*byte)(unsafe.Pointer(&b.ctl))}
	b.hdr.SetIovlen(1)
	b.hdr.SetControllen(ctlWords * 8)
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.hdr)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT, 0, 0, 0)
	if e != 0 {
		return netip.AddrPort{}, nil, e
	}
	c.parse(&b.hdr, z)
	return decode(&b.name, z), b.quote[:n:n], 0
}

// dropped is how many datagrams the kernel received and dropped for want of room at
// socket fd (unix(7) knows SO_MEMINFO as sock_diag(7) does: the ninth number).
func dropped(fd int) uint32 {
	var info [9]uint32
	n := uint32(unsafe.Sizeof(info))
	_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&n)), 0)
	if e != 0 || n < uint32(unsafe.Sizeof(info)) {
		return 0
	}
	return info[8]
}

// epollWait waits by call trap: SYS_EPOLL_PWAIT2, or else SYS_EPOLL_PWAIT with its
// milliseconds rounded up, since a timer may be late but never early. No time means
// d < 0. raw keeps the scheduler out of it; see poller.wait.
func epollWait(trap uintptr, ep int, events []unix.EpollEvent, ts *timespec, d time.Duration, raw bool) (int, syscall.Errno) {
	timeout := uintptr(0)
	if trap == unix.SYS_EPOLL_PWAIT {
		timeout = ^uintptr(0)
		if d >= 0 {
			timeout = uintptr(min((d+time.Millisecond-1)/time.Millisecond, 1<<31-1))
		}
	} else if d >= 0 {
		ts.sec, ts.nsec = int64(d/time.Second), int64(d%time.Second)
		timeout = uintptr(unsafe.Pointer(ts)) // ts is the caller's heap: it neither moves nor goes
	}
	var n uintptr
	var e syscall.Errno
	if raw {
		n, _, e = syscall.RawSyscall6(trap, uintptr(ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), timeout, 0, 0)
	} else {
		n, _, e = syscall.Syscall6(trap, uintptr(ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), timeout, 0, 0)
	}
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}
