package mdalp

import (
	"bytes"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/wire"
)

// A script drives a session with whatever its bytes say: datagrams that are
// right, nearly right and arbitrary, from anybody, errors of the network, and
// steps of time. Unlike the simulation it may hand over many datagrams before it
// lets the session send, as the epoll loop does.
type script struct {
	b      []byte
	w      *watch
	now    time.Time
	echoes [][]byte
	from   []netip.AddrPort
}

// byte takes the next one; 0 when there is none.
func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

// peer picks who sends: one of three receivers, the orchestrator, or a stranger.
func (s *script) peer() netip.AddrPort {
	return []netip.AddrPort{receiverA, receiverB, receiverC, orchestrator, stranger}[s.byte()%5]
}

func (s *script) receive(from netip.AddrPort, b []byte) {
	s.w.Receive(s.now, &loop.Envelope{Peer: from, At: s.now}, b)
}

// step does the next thing of the script.
func (s *script) step() {
	op := s.byte()
	switch op % 10 {
	case 0:
		s.now = s.now.Add(time.Duration(s.byte()) * 50 * time.Millisecond)
	case 1:
		if at, ok := s.w.Next(); ok && at.After(s.now) && at.Sub(s.now) < time.Hour {
			s.now = at
		}
	case 2:
		s.receive(s.peer(), wire.AppendAck(nil, s.w.s.tid, int64(s.byte())))
	case 3: // the ack that is awaited
		if n := len(s.w.to); n > 0 {
			d := &s.w.to[int(s.byte())%n]
			s.receive(d.addr, wire.AppendAck(nil, s.w.s.tid, d.seq))
		}
	case 4:
		errs := []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EMSGSIZE, syscall.EPERM}
		e := loop.Envelope{Peer: s.peer()}
		how := s.byte()
		if e.Remote = how&4 != 0; e.Remote { // what it quotes may be right, and cut anywhere
			q := wire.AppendDataHeader(nil, s.w.s.tid, int64(how>>5))
			e.Quote = q[:min(len(q), int(s.byte()))]
		}
		s.w.Fail(s.now, &e, errs[how%4])
	case 5:
		n := min(int(s.byte()), len(s.b))
		b := s.b[:n]
		s.b = s.b[n:]
		s.receive(s.peer(), b)
	case 6:
		s.receive(s.peer(), []byte(captured))
	case 7:
		s.receive(s.peer(), wire.AppendAck(nil, s.w.s.tid+int64(s.byte()), int64(s.byte())))
	case 8:
		if k := int(s.byte()); k < len(s.echoes) {
			s.w.Receive(s.now, &loop.Envelope{Sock: sockICMP4, Peer: s.from[k], At: s.now}, sim.EchoReply(bytes.Clone(s.echoes[k])))
		}
	case 9:
		e := loop.Envelope{Sock: sockICMP4, Peer: s.peer(), At: s.now}
		s.w.Receive(s.now, &e, s.b[:min(int(s.byte()), len(s.b))])
	}
	if op < 128 {
		s.flush()
	}
}

// flush does what a loop does before it sleeps.
func (s *script) flush() {
	if at, ok := s.w.Next(); ok && !at.After(s.now) {
		s.w.Expire(s.now)
	}
	for k := 0; ; k++ {
		var e loop.Envelope
		b, ok := s.w.Transmit(s.now, &e, nil)
		if !ok {
			return
		}
		if e.Sock == sockICMP4 {
			s.echoes = append(s.echoes, b)
			s.from = append(s.from, e.Peer)
		}
		if k > 1000 {
			s.w.fail("it sends without end")
			return
		}
	}
}

// FuzzSession: nothing that comes may break a session: not a panic, and none of
// the rules that the simulation checks.
func FuzzSession(f *testing.F) {
	f.Add([]byte{1, 8, 0, 2, 0, 6, 3, 3, 0, 3, 1, 3, 2, 3, 0, 3, 1, 3, 2})
	f.Add([]byte{1, 8, 0, 2, 0, 6, 3, 4, 0, 4, 99, 4, 1, 0x24, 9, 4, 2, 1, 3, 0, 1, 3, 1})
	f.Add([]byte{3, 2, 1, 4, 0, 6, 3, 0, 100, 0, 100, 0, 100, 2, 0, 0, 4, 1, 0, 3, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &script{b: b, now: t0}
		c := run{Config: Config{Base: true, Orchestrator: orchestrator, Balance: Balance(s.byte() % 4), Tries: 1 + int(s.byte()%8)}, key: [32]byte{1}}
		flags := s.byte()
		if flags&1 != 0 {
			c.RTO = RTO(100 * time.Millisecond)
		}
		c.NoFailover = flags&2 != 0
		if flags&4 != 0 {
			c.Deadline = 20 * time.Second
		}
		if flags&8 != 0 {
			c.memory = 1
		}
		mode := icmp.Raw
		if flags&16 != 0 {
			mode = icmp.Off
		}
		// The scenario is one without a world: all that comes is from the script, and
		// its receivers lie.
		sc := &scenario{cfg: c, lies: true, faults: true}
		if flags&32 != 0 {
			sc.buffer = 1300 * int(1+flags>>6)
		}
		s.w = newWatch(sc, 0, payload(100*int(s.byte()%16)+int(s.byte())))
		conf, err := s.w.config().withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		s.w.cfg, s.w.capped = conf, true // time jumps: timeouts are served late
		s.w.s = newSession(t0, bytes.NewReader(s.w.payload), int64(len(s.w.payload)), conf, mode, icmp.Off, sc.buffer)
		s.w.observe(t0)
		s.flush()
		for len(s.b) > 0 && s.w.err == nil {
			if s.step(); s.w.phase == PhaseFinished {
				break
			}
		}
		if s.w.phase == PhaseFinished {
			s.w.end()
		}
		if s.w.err != nil {
			t.Fatal(s.w.err)
		}
	})
}
