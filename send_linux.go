package mdalp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net/netip"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
)

// lookups is how many names of an offer are looked up at once: there may be thousands.
const lookups = 16

// send opens the sockets, drives a session over them and closes them.
func send(ctx context.Context, src io.ReaderAt, size int64, cfg *run) (*Report, error) {
	began := time.Now()
	if err := cfg.atHome(); err != nil {
		return &Report{Size: size, Orchestrator: cfg.Orchestrator}, err
	}
	wk, err := loop.NewWaker()
	if err != nil {
		return &Report{Size: size, Orchestrator: cfg.Orchestrator}, err
	}
	defer wk.Close()
	names, cancel := context.WithCancel(ctx)
	defer cancel() // nobody waits for answers any more
	cfg.resolve = func(host string) netip.Addr { return lookup(names, host) }
	cfg.beside = wk.Beside(lookups)
	cfg.mtu = routeMTU
	// The digest reads beside the loop, and not after Send has returned.
	gate := &gated{r: src}
	defer gate.close()
	compute := cfg.hash
	cfg.hash = func(_ io.ReaderAt, size int64) ([sha256.Size]byte, time.Duration, error) {
		return compute(gate, size)
	}
	udp, err := listen(cfg)
	if err != nil {
		return &Report{Size: size, Orchestrator: cfg.Orchestrator}, err
	}
	socks := []*loop.Socket{udp}
	defer func() {
		for _, s := range socks {
			s.Close()
		}
	}()
	echo, mode4, mode6 := openEchoes(cfg, size)
	socks = append(socks, echo...)
	if cfg.DropPrivileges {
		cfg.shed = func() {
			if err := dropCapabilities(); err != nil {
				cfg.Logger.Debug("capabilities are kept", "err", err)
			}
		}
	}
	s := newSession(time.Now(), src, size, cfg, mode4, mode6, udp.ReceiveBuffer())
	h := s.handler(rand.Reader)
	if cfg.Capture != nil {
		var local [3]netip.AddrPort
		for i, sock := range socks {
			local[i] = sock.LocalAddr()
		}
		out := newSink(cfg.Capture, sinkRoom)
		t := newTap(s, out, local, localTo)
		t.h = h
		t.full = out.full
		defer func() { t.end(out.close(cfg.patience(ctx, began))) }()
		defer t.close()
		h = t
	}
	if err := wk.Run(ctx, h, socks...); err != nil {
		s.finish(time.Now(), err)
	}
	st := udp.Stats()
	s.report.Socket = SocketReport{
		Drops: int64(st.Drops), Truncated: int64(st.Truncated), Lost: int64(st.Lost),
		Blocked: int64(st.Blocked), Trains: int64(st.Trains),
	}
	return &s.report, s.err
}

// openEchoes opens what receivers are pinged by, as far as that is possible and wanted.
func openEchoes(c *run, size int64) (socks []*loop.Socket, mode4, mode6 icmp.Mode) {
	mode4, mode6 = icmp.Off, icmp.Off
	if !c.pings() || size <= 0 {
		return nil, mode4, mode6
	}
	if c.key == ([32]byte{}) {
		// The first read of a process takes 60 µs, which only who pings has to pay.
		rand.Read(c.key[:])
	}
	s4, mode4, err := listenEcho(4, c.Ping, &c.key, echoBind(c, 4))
	if err == nil {
		socks = append(socks, s4)
		var s6 *loop.Socket
		if s6, mode6, err = listenEcho(6, c.Ping, &c.key, echoBind(c, 6)); err == nil {
			socks = append(socks, s6)
		}
	}
	if mode4 == icmp.Off {
		c.Logger.Warn("pings are not possible: all receivers get the same share; grant them with "+
			"`setcap cap_net_raw+ep` on the command, or open net.ipv4.ping_group_range", "err", err)
	}
	return socks, mode4, mode6
}

// patience is how long what is left of a capture is waited for.
func (c *run) patience(ctx context.Context, began time.Time) time.Duration {
	switch left := c.Deadline - time.Since(began); {
	case ctx.Err() != nil, c.Deadline > 0 && left < sinkGrace:
		return sinkGrace
	case c.Deadline > 0:
		return min(left, sinkWait)
	}
	return sinkWait
}

// listen opens the one UDP socket. It is an IPv6 socket that reaches IPv4 hosts
// too only when it must be: an orchestrator, or the source, is an IPv6 address.
func listen(cfg *run) (*loop.Socket, error) {
	local := netip.IPv4Unspecified()
	if cfg.six() {
		local = netip.IPv6Unspecified()
	}
	if cfg.Bind.IsValid() {
		local = cfg.Bind
	}
	o := loop.Options{Errors: true, Replies: true, Offload: cfg.Offload}
	return loop.Listen(netip.AddrPortFrom(local, 0), o)
}

// echoBind is the source address of the echoes to IPv4 or IPv6 hosts. For a capture it
// is never left out, because a datagram socket has its identifier from the bind on.
func echoBind(cfg *run, family int) netip.Addr {
	switch {
	case cfg.Capture == nil || cfg.Bind.IsValid() && cfg.Bind.Is4() == (family == 4):
		return cfg.Bind
	case family == 4:
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// listenEcho opens the socket for echoes to IPv4 or IPv6 hosts.
func listenEcho(family int, mode icmp.Mode, key *[32]byte, bind netip.Addr) (*loop.Socket, icmp.Mode, error) {
	if bind.IsValid() && bind.Is4() != (family == 4) {
		bind = netip.Addr{}
	}
	c, mode, err := icmp.Open(family, mode, echoID(key), bind)
	if err != nil {
		return nil, icmp.Off, err
	}
	s, err := loop.New(c, loop.Options{Stamp: true})
	if err != nil {
		return nil, icmp.Off, err
	}
	return s, mode, nil
}
