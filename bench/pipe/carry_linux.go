package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses are of the network for benchmarks (RFC 2544, appendix C.2.2).
var (
	client       = netip.AddrFrom4([4]byte{198, 18, 0, 1})
	orchestrator = netip.AddrFrom4([4]byte{198, 19, 0, 1})
	netmask      = netip.AddrFrom4([4]byte{255, 254, 0, 0})
)

// receiver gives the address of a receiver, from 0.
func receiver(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 19, 0, byte(2 + i)}) }

// A network is two namespaces and the links between them, at work.
type network struct {
	near, far *namespace
	paths     int
	wake      int // an eventfd that ends the carrier
	ended     chan struct{}

	// mu is of all below. The carrier gives it up between its passes, so that counts can be
	// read at any instant, as those of a client that is cut off.
	mu       sync.Mutex
	up, down []*direction // of each path
	all      []*direction
	meter    *meter
	zero     time.Time     // of the first packet; the rates change by it
	late     time.Duration // of all deliveries together
	worst    time.Duration // of one
	refused  int64         // packets that a TUN device did not take
	err      error         // that broke the carrier
}

// newNetwork makes the network of a profile and begins to carry. Every run has one of its own:
// the kernel remembers paths and windows of TCP, and a run shall not know of the one before.
func newNetwork(p *profile, receivers int, seed uint64) (*network, error) {
	n := &network{paths: len(p.paths), ended: make(chan struct{}), meter: newMeter(len(p.paths))}
	for i, path := range p.paths {
		n.up = append(n.up, newDirection(path.up, seed, uint64(2*i)))
		n.down = append(n.down, newDirection(path.down, seed, uint64(2*i+1)))
	}
	n.all = slices.Concat(n.up, n.down)
	far := []netip.Addr{orchestrator}
	for i := range receivers {
		far = append(far, receiver(i))
	}
	var err error
	if n.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if n.near, err = newNamespace(client); err != nil {
		unix.Close(n.wake)
		return nil, err
	}
	if n.far, err = newNamespace(far...); err != nil {
		n.near.close()
		unix.Close(n.wake)
		return nil, err
	}
	go n.run()
	return n, nil
}

// close ends the carrier and both namespaces. Programs in them must have ended.
func (n *network) close() error {
	// An eventfd takes eight bytes that are not 0.
	_, werr := unix.Write(n.wake, []byte{1, 1, 1, 1, 1, 1, 1, 1})
	if werr == nil {
		<-n.ended
	}
	n.near.close()
	n.far.close()
	unix.Close(n.wake)
	return errors.Join(werr, n.err)
}

// pathOf gives the path to an address of the far side. The orchestrator has no link of its
// own: its few messages do not show on that of the first receiver.
func (n *network) pathOf(far netip.Addr) int {
	i := int(far.As4()[3]) - 2
	if n.paths == 1 || i < 0 || i >= n.paths {
		return 0
	}
	return i
}

// now is the time since the first packet. Until then it is 0, and nothing is under way.
func (n *network) now() time.Duration {
	if n.zero.IsZero() {
		return 0
	}
	return time.Since(n.zero)
}

// run is the goroutine that carries packets.
func (n *network) run() {
	defer close(n.ended)
	// The links must not be late because their users are busy, nor because the kernel puts
	// timers together: it does so by 50 µs (prctl(2), PR_SET_TIMERSLACK). Both are of this
	// thread, which ends with the goroutine. What is refused shows in how late it is.
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15)

	poll := []unix.PollFd{
		{Fd: int32(n.near.tun), Events: unix.POLLIN},
		{Fd: int32(n.far.tun), Events: unix.POLLIN},
		{Fd: int32(n.wake), Events: unix.POLLIN},
	}
	// Larger than any packet: the device gives one of the MTU at most.
	b := make([]byte, 1<<16)
	for {
		busy, wait := n.pass(b)
		if busy {
			wait = 0 // and still look whether it is the end
		}
		// The call is made also when there is no time to wait: it tells of the end.
		var timeout *unix.Timespec
		if wait >= 0 {
			t := unix.NsecToTimespec(int64(wait))
			timeout = &t
		}
		if _, err := unix.Ppoll(poll, timeout, nil); err != nil && err != unix.EINTR {
			n.mu.Lock()
			n.err = os.NewSyscallError("ppoll", err)
			n.mu.Unlock()
			return
		}
		if poll[2].Revents != 0 {
			return
		}
	}
}

// pass delivers what is due and takes what there is, a few packets from either side, so that
// neither waits for the other. If it took none it says how long there is nothing to do,
// below 0 for ever.
func (n *network) pass(b []byte) (busy bool, wait time.Duration) {
	// At 1 Gbit/s it is a few hundred microseconds' worth from either side.
	const few = 32
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.paths {
		n.deliver(i, n.up[i], n.far.tun, true)
		n.deliver(i, n.down[i], n.near.tun, false)
	}
	for _, outward := range []bool{true, false} {
		from := n.near.tun
		if !outward {
			from = n.far.tun
		}
		for range few {
			size, err := unix.Read(from, b)
			if err != nil || size <= 0 {
				break // it has none
			}
			busy = true
			n.take(b[:size], outward)
		}
	}
	wait = -1
	now := n.now()
	for _, d := range n.all {
		if at, ok := d.next(); ok && (wait < 0 || at-now < wait) {
			wait = max(0, at-now)
		}
	}
	return busy, wait
}

// take puts a packet into the link that it goes by. The time is read for each one: those of a
// pass do not come at one instant.
func (n *network) take(b []byte, outward bool) {
	// The links are for IPv4. What else a kernel may say by itself is none of the flows.
	if !isIPv4(b) {
		return
	}
	if n.zero.IsZero() {
		n.zero = time.Now()
	}
	now := n.now()
	if !outward {
		n.down[n.pathOf(source(b))].offer(now, b, segment{})
		return
	}
	s := segmentOf(b)
	n.meter.offered(now, s)
	n.up[n.pathOf(destination(b))].offer(now, b, s)
}

// deliver writes what has come out of a link. The instants of the meter are those at which
// packets were due, so that the emulation's own delay is not taken for the link's.
func (n *network) deliver(path int, d *direction, to int, outward bool) {
	for p := d.arrival(n.now()); p != nil; p = d.arrival(n.now()) {
		if _, err := unix.Write(to, p.bytes); err != nil {
			n.refused++
			continue
		}
		late := n.now() - p.due
		n.late += late
		n.worst = max(n.worst, late)
		if outward {
			n.meter.delivered(p.due, path, p.part)
		}
	}
}

// read reads all counts, of the devices first, which are asked without mu: what they dropped
// is told by other threads, and the carrier shall not wait for those.
func (n *network) read() (r reading, err error) {
	var far int64
	if r.near, err = n.near.dropped(); err != nil {
		return r, err
	}
	if far, err = n.far.dropped(); err != nil {
		return r, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r.far = far + n.refused
	r.at, r.worst = n.now(), n.worst
	for i := range n.paths {
		r.up.add(n.up[i].counts)
		r.down.add(n.down[i].counts)
	}
	if k := r.up.delivered + r.down.delivered; k > 0 {
		r.late = n.late / time.Duration(k)
	}
	m := n.meter
	r.began, r.repeated = m.began, m.repeated
	r.ended, r.arrived = slices.Clone(m.ended), slices.Clone(m.bytes)
	if n.err != nil {
		return r, fmt.Errorf("the links broke: %w", n.err)
	}
	return r, nil
}
