package mdalp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"time"

	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

// A number is what a nonce is made of, under the key that it is used with: that of a direction
// and channel of a transaction.
type number struct {
	out  bool // from a client
	tid  int64
	peer netip.AddrPort // the server's side of the channel
	desk bool           // it is the orchestrator's
	n    int64
}

// sends notes a datagram that really was sent, and checks that its number was never used and that
// nothing in it can be read.
func (sc *veiled) sends(from, to netip.AddrPort, b []byte, out bool) {
	sc.sent[flown(from, to, b, out)]++
	m, err := wire.Parse(b)
	if err != nil {
		sc.fail("%v sends %q", from, b)
		return
	}
	x := number{out, m.TID, to, m.Type == wire.ManifestType || m.Type == wire.StateType, m.Seq}
	if !out {
		x.peer = from
	}
	if m.Type == wire.Data {
		x.n = m.Num
	}
	if m.Type == wire.Intent || m.Type == wire.Offer {
		return
	}
	if sc.used[x] {
		sc.fail("number %d is used twice under one key: %.80q to %v", x.n, b, to)
	}
	sc.used[x] = true
	if len(m.Data) < 16 {
		sc.fail("%.80q is not sealed", b)
		return
	}
	plain := m.Data[:len(m.Data)-16]
	_, _, noManifest := wire.ParseManifest(m.Data)
	_, noState := wire.ParseState(m.Data)
	open := noManifest == nil || noState == nil
	for _, c := range sc.clients {
		open = open || m.Type == wire.Data && len(plain) > 8 && bytes.Contains(c.payload, plain)
	}
	if open {
		sc.fail("%.80q can be read", b)
	}
}

// streams checks that no keystream is used twice, whatever the numbers in the headers say: two
// datagrams of one keystream tell the difference of what is in them.
func (sc *veiled) streams(sealed, plain []byte) {
	x, err := wire.Parse(sealed)
	y, also := wire.Parse(plain)
	const enough = 12 // bytes, so that no two are equal by chance
	if err != nil || also != nil || x.Type < wire.Data || len(y.Data) < enough || len(x.Data) < enough {
		return
	}
	var k [enough]byte
	for i := range k {
		k[i] = x.Data[i] ^ y.Data[i]
	}
	what := string(sealed[:len(sealed)-len(x.Data)])
	if was, ok := sc.stream[string(k[:])]; ok && was != what {
		sc.fail("one keystream for %q and %q", was, what)
	}
	sc.stream[string(k[:])] = what
}

// flown is a datagram on its way. A server takes segments from anywhere, and manifests at any of its
// addresses; a client believes who sends. That the last semicolon is gone changes nothing of an offer.
func flown(from, to netip.AddrPort, b []byte, out bool) string {
	if bytes.HasPrefix(b, []byte("Type:1;")) {
		b = bytes.TrimSuffix(b, []byte(";"))
	}
	if out && bytes.HasPrefix(b, []byte("Type:4;")) {
		return string(b)
	}
	if out {
		return fmt.Sprint(to, " ") + string(b)
	}
	return fmt.Sprint(from, " ", to, " ") + string(b)
}

// comes tells whether a datagram is what it seems: its peer sent it, and it comes for the first time.
func (sc *veiled) comes(from, to netip.AddrPort, b []byte, out bool) bool {
	k := flown(from, to, b, out)
	if sc.sent[k] == 0 {
		return false
	}
	sc.sent[k]--
	return true
}

// A veiledServer is the server with all around it.
type veiledServer struct {
	sc      *veiled
	in      *server.Sealed
	runs    byte
	ours    map[int64]bool // transactions of this run
	bare    map[int64]bool // those of clients without a key: who knows their number can do what he likes
	hostile bool           // what came last is not what it seems
	what    string
	replays map[netip.Addr][2]int // bytes that replayed intents had, and drew
}

// start makes a server on what is on the disk.
func (s *veiledServer) start() {
	sc := s.sc
	s.runs++
	s.ours = map[int64]bool{}
	if s.bare == nil { // what was open in the clear goes on after a restart
		s.bare = map[int64]bool{}
	}
	sc.disk.Now = sc.world.Now
	dir, err := server.NewDirIn(sc.disk, server.DirOptions{Reserve: -1})
	if err != nil {
		panic(err)
	}
	cfg := sc.cfg
	cfg.Store, cfg.Seed = dir, [32]byte{byte(sc.seed), byte(sc.seed >> 8), s.runs}
	if s.in, err = server.NewSealed(cfg, &sc.ring, false, rand.NewChaCha8([32]byte{byte(sc.seed), byte(sc.seed >> 8), s.runs, 7})); err != nil {
		panic(err)
	}
	s.replays = map[netip.Addr][2]int{}
}

// Receive implements loop.Handler. What is not what it seems changes nothing but counters of that,
// and draws nothing.
func (s *veiledServer) Receive(now time.Time, e *loop.Envelope, b []byte) {
	m, err := wire.Parse(b)
	ok := s.sc.comes(e.Peer, e.Local, b, true)
	s.hostile = false
	if ok || s.sc.plain(e.Peer) || s.bare[m.TID] || err == nil && m.Type == wire.Intent {
		if n := s.replays[e.Peer.Addr()]; attacker(e.Peer) {
			s.replays[e.Peer.Addr()] = [2]int{n[0] + len(b), n[1]}
		}
		replayed := s.in.Stats().Replayed
		s.in.Receive(now, e, b)
		if ok && s.in.Stats().Replayed != replayed {
			s.sc.fail("server: %.90q from %v comes for the first time, and is a replay", b, e.Peer)
		}
		return
	}
	s.in.Expire(now)
	before := s.print(now, m.TID)
	s.what = fmt.Sprintf("%.90q from %v to %v", b, e.Peer, e.Local)
	s.in.Receive(now, e, b)
	if after := s.print(now, m.TID); !reflect.DeepEqual(before, after) {
		s.sc.fail("server: %s changes\n%+v to\n%+v", s.what, before, after)
	}
	s.hostile = s.ours[m.TID]
}

// print is what must stay as it is.
func (s *veiledServer) print(now time.Time, tid int64) any {
	n := *s.in.Snapshot(now)
	st := &n.Stats
	st.Datagrams, st.Unopened, st.Replayed, st.Malformed, st.Unexpected = 0, 0, 0, 0, 0
	st.UnknownTID, st.Elsewhere, st.Late, st.AfterClose = 0, 0, 0, 0
	if !s.ours[tid] { // nobody's: a plain question has a bare answer
		st.Manifests = 0
	}
	return n
}

// Transmit implements loop.Handler.
func (s *veiledServer) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	out, ok := s.in.Transmit(now, e, b)
	if !ok {
		s.hostile = false
		return out, ok
	}
	if s.hostile {
		s.sc.fail("server: %s draws %.90q", s.what, out)
	}
	m, _ := wire.Parse(out)
	if attacker(e.Peer) {
		n := s.replays[e.Peer.Addr()]
		if n[1] += len(out); n[1] > 3*n[0] {
			s.sc.fail("server: %d bytes from %v draw %d", n[0], e.Peer, n[1])
		}
		s.replays[e.Peer.Addr()] = n
	}
	if m.Type == wire.Offer && m.TID >= 0 {
		s.ours[m.TID], s.bare[m.TID] = !s.sc.plain(e.Peer), s.sc.plain(e.Peer)
	}
	if !s.bare[m.TID] && (s.ours[m.TID] || m.Type == wire.Offer) {
		s.sc.sends(e.Local, e.Peer, out, false)
	}
	return out, ok
}

// Fail implements loop.Handler.
func (s *veiledServer) Fail(now time.Time, e *loop.Envelope, err error) { s.in.Fail(now, e, err) }

// Expire implements loop.Handler.
func (s *veiledServer) Expire(now time.Time) {
	s.hostile = false
	s.in.Expire(now)
}

// Next implements loop.Handler.
func (s *veiledServer) Next() (time.Time, bool) { return s.in.Next() }

// A veiledClient is a session as what seals it sees it: only what is what it seems may reach it.
type veiledClient struct {
	*session
	sc      *veiled
	id      int
	payload []byte
	addr    netip.AddrPort
	outer   loop.Handler
	hostile bool
	what    string
	sealed  []byte   // what came
	plain   []byte   // what the session sends
	waited  [2]int64 // when it was told to wait: the transaction it had given up, and intents since
}

// Receive implements seal.Program.
func (c *veiledClient) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if c.hostile {
		c.sc.fail("client %d: %s reaches its session as %.90q", c.id, c.what, b)
	}
	c.sc.streams(c.sealed, b)
	c.session.Receive(now, e, b)
}

// Transmit implements seal.Program.
func (c *veiledClient) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	out, ok := c.session.Transmit(now, e, b)
	c.plain = append(c.plain[:0], out...)
	return out, ok
}

// Wait implements seal.Program. An answer to wait may be a replay, and counts once for each intent:
// or who replays it would keep the client from asking.
func (c *veiledClient) Wait(now time.Time, d time.Duration) {
	at := [2]int64{c.session.given, int64(c.session.waiting.intents)}
	before, _ := c.session.Next()
	c.session.Wait(now, d)
	if after, _ := c.session.Next(); c.waited == at && after != before {
		c.sc.fail("client %d: %s has it wait again", c.id, c.what)
	}
	c.waited = at
}

// A veiledNode is that with its seal around it.
type veiledNode veiledClient

// Receive implements loop.Handler.
func (n *veiledNode) Receive(now time.Time, e *loop.Envelope, b []byte) {
	c := (*veiledClient)(n)
	c.hostile = !c.sc.comes(e.Peer, c.addr, b, false)
	c.what = fmt.Sprintf("%.90q from %v", b, e.Peer)
	phase, tid := c.session.phase, c.session.tid
	c.sealed = append(c.sealed[:0], b...)
	drops := c.session.report.Dropped.Total()
	c.outer.Receive(now, e, b)
	if c.hostile && c.outer != loop.Handler(c.session) && (c.session.phase != phase || c.session.tid != tid || c.session.report.Dropped.Total() == drops && phase != PhaseFinished && phase != PhaseWaiting) {
		c.sc.fail("client %d: %s changes %v of %d to %v of %d, or is not counted", c.id, c.what, phase, tid, c.session.phase, c.session.tid)
	}
	c.hostile = false
}

// Transmit implements loop.Handler.
func (n *veiledNode) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	c := (*veiledClient)(n)
	out, ok := c.outer.Transmit(now, e, b)
	if ok && c.session.sealed() {
		c.sc.sends(c.addr, e.Peer, out, true)
		c.sc.streams(out, c.plain)
	}
	return out, ok
}

// Fail implements loop.Handler.
func (n *veiledNode) Fail(now time.Time, e *loop.Envelope, err error) { n.outer.Fail(now, e, err) }

// Expire implements loop.Handler.
func (n *veiledNode) Expire(now time.Time) { n.outer.Expire(now) }

// Next implements loop.Handler.
func (n *veiledNode) Next() (time.Time, bool) { return n.outer.Next() }
