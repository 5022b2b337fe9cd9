package loop

import (
	"context"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// rawWait bounds a wait that the Go scheduler does not know of. It is below the
	// 10 ms after which sysmon interrupts a goroutine, and above the kernel's
	// usual tick (4 ms at 250 Hz): a sleep that ends before the next tick makes the kernel
	// reprogram the clock's hardware twice, 2 µs a sleep in a virtual machine.
	rawWait = 8 * time.Millisecond
	// shortWait is how long a round may have taken to count as a short one.
	shortWait = time.Millisecond
	// A loop is busy after so many short rounds in a row; see pace.
	minBusy, maxBusy = 8, 16384
	// waking marks the Waker's descriptor among the events, where a socket has its index.
	waking = -1
)

// A tempo tells from the length of the rounds whether the loop is busy. One short round
// does not make it so: over a wide-area network, where two answers may come together
// by chance, a raw wait would only keep sysmon awake. When the wait of a busy loop
// is long after all, the next takes twice as many short rounds: with one P, what the
// loop waits for may be a goroutine of its own program, which a raw wait keeps from
// running. As many short rounds again take the doubling back.
type tempo struct {
	short int // short rounds in a row
	need  int // that make a busy loop
}

// round takes the length of a round and reports whether the loop is busy.
func (p *tempo) round(gap time.Duration) bool {
	switch {
	case gap <= shortWait:
		if p.short++; p.short >= 2*p.need {
			p.need = minBusy
		}
	case p.short >= p.need:
		p.short, p.need = 0, min(2*p.need, maxBusy)
	default:
		p.short = 0
	}
	return p.short >= p.need
}

// A poller is an epoll(7) instance over the sockets of one Run, level-triggered: a
// batch may leave datagrams behind and the next wait tells again.
type poller struct {
	ep     int
	trap   uintptr // the system call that waits
	calls  uint64
	busy   bool // waits are short enough to be raw
	ts     timespec
	events [16]unix.EpollEvent

	waker *Waker // nil when there is nothing to be woken by
	own   bool   // waker is for this Run's context alone
	stop  func() bool
	fired chan struct{}
}

// newPoller watches socks, and w unless it is nil. Where ctx can be cancelled, that
// wakes the loop as a Post does.
func newPoller(ctx context.Context, w *Waker, socks []*Socket) (*poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &poller{ep: ep, trap: unix.SYS_EPOLL_PWAIT2, waker: w}
	for i, s := range socks {
		if err := p.ctl(unix.EPOLL_CTL_ADD, s.fd, i, unix.EPOLLIN); err != nil {
			p.close()
			return nil, err
		}
	}
	if w == nil && ctx.Done() != nil {
		if p.waker, err = NewWaker(); err != nil {
			p.close()
			return nil, err
		}
		p.own = true
	}
	if p.waker == nil {
		return p, nil
	}
	if err := p.ctl(unix.EPOLL_CTL_ADD, int(p.waker.ev), waking, unix.EPOLLIN); err != nil {
		p.close()
		return nil, err
	}
	if ctx.Done() != nil {
		p.fired = make(chan struct{})
		p.stop = context.AfterFunc(ctx, func() {
			defer close(p.fired)
			p.waker.nudge()
		})
	}
	return p, nil
}

func (p *poller) close() {
	// Once begun, the nudge must end before its descriptor's number can mean
	// another file.
	if p.stop != nil && !p.stop() {
		<-p.fired
	}
	if p.own {
		_ = p.waker.Close()
	}
	_ = unix.Close(p.ep)
}

func (p *poller) ctl(op, fd, id int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(id)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.ep, op, fd, &ev))
}

// writable has the poller tell, or no longer tell, when socket id takes datagrams.
func (p *poller) writable(s *Socket, id int, on bool) error {
	ev := uint32(unix.EPOLLIN)
	if on {
		ev |= unix.EPOLLOUT
	}
	return p.ctl(unix.EPOLL_CTL_MOD, s.fd, id, ev)
}

// look asks for events without waiting.
func (p *poller) look() ([]unix.EpollEvent, error) { return p.call(0, true) }

// wait waits for events for at most d, without limit when d < 0.
//
// A call through syscall.Syscall6 tells the scheduler that the thread may block,
// and sysmon hands the P on to another thread after some 20 µs. Getting it back
// costs a fifth of all CPU time of a busy loop. A raw call is unknown to the
// scheduler: on this P no other goroutine can run until it returns. So a loop waits
// raw only while its waits are short, and then for rawWait at most. What must not
// wait, a collection or a goroutine without another P, has the thread signalled to
// preempt it, and a signal ends the call at once (signal(7): epoll is never
// restarted). A wait that turns out to be long goes on through the scheduler,
// and an idle program is a sleeping one.
func (p *poller) wait(d time.Duration) ([]unix.EpollEvent, error) {
	if p.busy {
		if 0 <= d && d <= rawWait {
			return p.call(d, true)
		}
		ev, err := p.call(rawWait, true)
		if len(ev) > 0 || err != nil {
			return ev, err
		}
		p.busy = false
		if d >= 0 {
			d -= rawWait
		}
	}
	return p.call(d, false)
}

// call makes one system call. A signal ends it without events: the caller's clock
// decides what is due then.
func (p *poller) call(d time.Duration, raw bool) ([]unix.EpollEvent, error) {
	for {
		p.calls++
		n, e := epollWait(p.trap, p.ep, p.events[:], &p.ts, d, raw)
		switch {
		case e == 0 || e == unix.EINTR:
			return p.events[:n], nil
		case p.trap != unix.SYS_EPOLL_PWAIT && (e == unix.ENOSYS || e == unix.EPERM):
			// Before Linux 5.11, or forbidden by an older container's seccomp filter.
			p.trap = unix.SYS_EPOLL_PWAIT
		default:
			return nil, os.NewSyscallError("epoll_pwait2", syscall.Errno(e))
		}
	}
}
