package loop

import (
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file and control_linux.go are the border to the kernel, the only ones with package
// unsafe.
// All vectors are made once and stay on the heap: the kernel reads pointers out
// of them, so nothing in them may ever live on a goroutine's moving stack. The
// calls are raw because x/sys wraps neither recvmmsg(2), sendmmsg(2) nor
// epoll_pwait2(2), and its sendto and recvfrom allocate an address per datagram.

const (
	// batch is the number of datagrams moved by one system call. Larger batches
	// gain nothing measurable, one datagram a call costs a third more CPU.
	batch = 64
	// most is how many there may be where datagrams leave in trains, and a call has
	// less to do for each.
	most = 512
	// slotSize is what a transmit slot holds before append has to grow it. Small
	// slots keep a batch within four pages.
	slotSize = 256
	// arenaSize bounds what the slots hold together once they have grown: what is written
	// there is still in the cache of the core when the kernel copies it.
	arenaSize = 256 << 10
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

// An inbox is what sockets receive into: a batch of message headers with what they point
// to. Sockets of one Run with the same needs share one, since what is in it is handed
// over before the next call.
type inbox struct {
	msg     [batch]mmsghdr
	iov     [batch]unix.Iovec
	name    [batch]unix.RawSockaddrInet6 // or an Inet4, which is smaller
	ctl     [batch][ctlWords]uint64
	mem     []byte
	size    int // of a slot
	stride  int
	control bool
}

// newInbox takes its slots from mmap(2), not from the garbage collected heap: 64
// full-size datagrams are 4 MiB, enough to start a collection, though only the
// pages that datagrams touch ever cost memory.
func newInbox(size int, control bool) (*inbox, error) {
	in := &inbox{size: size, stride: (size+63)&^63 + skew, control: control}
	mem, err := unix.Mmap(-1, 0, in.stride*batch, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	in.mem = mem
	for i := range in.msg {
		in.iov[i].Base = &mem[i*in.stride]
		in.iov[i].SetLen(size)
		h := &in.msg[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&in.name[i]))
		h.Iov = &in.iov[i]
		h.SetIovlen(1)
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
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.msg)), batch,
		unix.MSG_DONTWAIT, 0, 0)
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

// An outbox is what the loop sends from: datagrams, each in a slot, in messages of one
// or, in a train, of more. Only the beginning of each array is ever touched while
// datagrams are few, so that its size costs neither memory nor cache.
type outbox struct {
	msg  [most]mmsghdr
	iov  [most]unix.Iovec // of datagrams, whose memory it keeps alive; those of a message are neighbours
	name [most]unix.RawSockaddrInet6
	ctl  [most][outWords]uint64
	sock [most]int
	slot [most][]byte // the memory that Transmit appends to

	n        int  // datagrams
	first, m int  // messages first to m-1 are not sent yet
	apart    int  // datagrams of first that are left and go one by one
	alike    bool // some neighbours may have one peer
	room     int  // the most datagrams
	made     int  // messages that were made ready
	stride   int  // of the slots
	grown    int  // slots that were too short since then
	longer   int  // the longest datagram that was too long for its slot
}

func newOutbox() *outbox {
	o := new(outbox)
	o.grow(slotSize, batch)
	return o
}

// grow makes n slots of at least size bytes anew. What is in the old ones stays there.
func (o *outbox) grow(size, n int) {
	mem := make([]byte, n*size)
	o.restore(o.made, n)
	o.made = max(o.made, n)
	for i := range n {
		o.slot[i] = mem[i*size:][:0:size]
	}
	clear(o.slot[n:])
	o.stride, o.room = size, n
}

// restore gives messages i to end-1 their own datagrams.
func (o *outbox) restore(i, end int) {
	for ; i < end; i++ {
		h := &o.msg[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&o.name[i]))
		h.Iov = &o.iov[i]
		h.SetIovlen(1)
	}
}

// put makes datagram n of b, e; false when the socket's family cannot reach e.Peer.
func (o *outbox) put(s *Socket, e *Envelope, b []byte, z *zones) bool {
	i := o.n
	h := &o.msg[i].hdr
	if h.Namelen = encode(&o.name[i], s.family, e.Peer, z); h.Namelen == 0 {
		return false
	}
	o.sock[i] = e.Sock
	o.iov[i].Base = unsafe.SliceData(b)
	o.iov[i].SetLen(len(b))
	if h.Controllen > 0 { // of the datagram that was here before
		h.Control = nil
		h.SetControllen(0)
	}
	if e.Local.IsValid() {
		o.from(i, e.Local.Addr(), z)
	}
	// In the base protocol a client's neighbours have no peer in common, and a server's
	// no source.
	if i > 0 && sameStart(&o.name[i], &o.name[i-1]) && (!e.Local.IsValid() || o.sameSource(i, i-1)) {
		o.alike = true
	}
	o.n++
	return true
}

// peer is where message i goes.
func (o *outbox) peer(i int) *unix.RawSockaddrInet6 {
	return (*unix.RawSockaddrInet6)(unsafe.Pointer(o.msg[i].hdr.Name))
}

// send sends messages i to end-1 through fd, without waiting; gives how many went.
func (o *outbox) send(fd, i, end int) (int, syscall.Errno) {
	if end-i == 1 {
		// sendmsg(2) spares the copy back of the count.
		_, _, e := syscall.RawSyscall6(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&o.msg[i].hdr)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0, 0)
		if e != 0 {
			return 0, e
		}
		return 1, 0
	}
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&o.msg[i])),
		uintptr(end-i), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
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
	b.hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&b.name)), Namelen: unix.SizeofSockaddrInet6,
		Iov: &b.iov, Control: (*byte)(unsafe.Pointer(&b.ctl))}
	b.hdr.SetIovlen(1)
	b.hdr.SetControllen(ctlWords * 8)
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.hdr)),
		unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT, 0, 0, 0)
	if e != 0 {
		return netip.AddrPort{}, nil, e
	}
	c.parse(&b.hdr, z)
	return decode(&b.name, z), b.quote[:n:n], 0
}

// memory is what socket fd uses (SO_MEMINFO, Linux 4.12; the numbers are those of sock_diag(7)
// that ss -m shows): the first is what is in the receive buffer in bytes, the ninth
// how many datagrams found no room there.
func memory(fd int) (info [9]uint32) {
	n := uint32(unsafe.Sizeof(info))
	syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&n)), 0)
	return info // zeros when it fails
}

// epollWait waits by call trap: SYS_EPOLL_PWAIT2, or else SYS_EPOLL_PWAIT with its
// milliseconds rounded up, since a timer may be late but never early. No time means
// d < 0. raw keeps the scheduler out of it; see poller.wait.
func epollWait(trap uintptr, ep int, events []unix.EpollEvent, ts *timespec, d time.Duration,
	raw bool) (int, syscall.Errno) {
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
		n, _, e = syscall.RawSyscall6(trap, uintptr(ep), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), timeout, 0, 0)
	} else {
		n, _, e = syscall.Syscall6(trap, uintptr(ep), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), timeout, 0, 0)
	}
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// nanosleep sleeps for t, which lies in the heap, or until a signal comes. The Go scheduler does not know.
func nanosleep(t *unix.Timespec) {
	syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(t)), 0, 0)
}
