package icmp

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// What a zero field of [Config] means.
const (
	DefaultCount   = 3                // as ping -c 3 of the original client
	DefaultGap     = time.Millisecond // not ping's second: three echoes hardly load a path
	DefaultTimeout = 2 * time.Second
)

// grace is added to three times the largest round trip when only stragglers
// are missing: a host that answered once may just be busy.
const grace = 10 * time.Millisecond

// Config says how a [Prober] probes. The zero value works, but for Key.
type Config struct {
	// Count is the number of echoes to each host; 0 means [DefaultCount].
	Count int
	// Gap is the time from the last echo of a round to the first of the next;
	// 0 means [DefaultGap], less means none.
	Gap time.Duration
	// Timeout is how long after the last echo answers are waited for at most;
	// 0 means [DefaultTimeout], less means not at all.
	Timeout time.Duration
	// Size is how many bytes an echo has behind its ICMP header, if that is more than it
	// needs: zeros are put behind, so that a path shows whether it takes packets of that
	// length.
	Size int
	// ID is the identifier of the echoes, the one that was given to [Open].
	ID uint16
	// Key seeds the cookies. Replies are safe from forgers while it is secret.
	Key [32]byte
}

// A Prober sends a few echoes to each of many hosts and measures the answers.
// It goes in rounds: one echo to every host back to back, a gap, the next.
//
// It is a plain state machine, for one goroutine: no I/O, no clock. Instants
// may lack a monotonic reading, as those from kernel stamps do, provided the
// differences between them are right. No call costs time in proportion to the
// number of hosts, but for NewProber and the first [Prober.Fail] or [Prober.Lose].
type Prober struct {
	cfg    Config
	start  time.Time
	random *rand.ChaCha8
	v4, v6 template

	hosts  []host
	probes []probe              // cfg.Count for each host, side by side
	index  map[netip.Addr]int32 // of the hosts, made by the first Fail or Lose

	round   int       // the round that is under way or comes next
	cursor  int       // the host that is next in it; never a failed one
	roundAt time.Time // when the round begins, or began
	lastAt  time.Time // when the last echo was sent

	live     int           // hosts that have not failed
	unheard  int           // those of them that have not answered yet
	missing  int           // echoes sent to live hosts and not answered
	maxRTT   time.Duration // of all replies
	timedOut bool
}

// A host is one that is probed.
type host struct {
	addr     netip.Addr
	sent     int32 // the echoes below are sent
	received int32
	lost     int32 // of those not answered, said to be lost
	failed   bool
}

// A probe is one echo. Before it is sent it is all zero.
type probe struct {
	cookie uint64
	sent   time.Duration // since Prober.start, to be smaller than a time.Time
	rtt    time.Duration // 0 until answered
}

// NewProber gives a Prober of hosts, which are IPv4 or IPv6 addresses, each of
// them once. The first round begins at now. IPv4-mapped addresses are taken as
// IPv4. With no hosts it is done at once.
func NewProber(now time.Time, cfg Config, hosts []netip.Addr) *Prober {
	if cfg.Count <= 0 {
		cfg.Count = DefaultCount
	}
	if cfg.Gap == 0 {
		cfg.Gap = DefaultGap
	}
	cfg.Gap = max(cfg.Gap, 0)
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	cfg.Timeout = max(cfg.Timeout, 0)
	p := &Prober{
		cfg:     cfg,
		start:   now,
		random:  rand.NewChaCha8(cfg.Key),
		v4:      newTemplate(ipv4.ICMPTypeEcho, cfg.ID),
		v6:      newTemplate(ipv6.ICMPTypeEchoRequest, cfg.ID),
		hosts:   make([]host, len(hosts)),
		probes:  make([]probe, len(hosts)*cfg.Count),
		roundAt: now,
		lastAt:  now,
		live:    len(hosts),
		unheard: len(hosts),
	}
	for i, a := range hosts {
		p.hosts[i].addr = a.Unmap()
	}
	return p
}

// Transmit appends the echo that is due to b, an ICMP message without IP
// header, and tells the host it is for; ok is false when none is due. now is
// the instant the round trip is counted from: that right before the message is
// handed to the kernel. The kernel completes the checksum of ICMPv6 messages.
func (p *Prober) Transmit(now time.Time, b []byte) (out []byte, to netip.Addr, ok bool) {
	if p.Done() || p.allSent() || now.Before(p.roundAt) {
		return b, netip.Addr{}, false
	}
	i := p.cursor
	h := &p.hosts[i]
	pl := payload{host: uint32(i), echo: uint32(h.sent), cookie: p.random.Uint64()}
	*p.probe(i, int(h.sent)) = probe{cookie: pl.cookie, sent: now.Sub(p.start)}
	t := &p.v6
	if h.addr.Is4() {
		t = &p.v4
	}
	h.sent++
	p.missing++
	p.lastAt = now
	p.step()
	p.skip()
	return t.append(b, pl, p.cfg.Size), h.addr, true
}

// Receive takes a message that came from a host, as the socket gives it: a raw
// IPv4 socket gives the IP header too, no other does. at is the instant of its
// arrival; a round trip is at least 1 ns. Only Counted changes anything. A reply
// that comes after Done or after Fail still counts, in Stats.
func (p *Prober) Receive(at time.Time, from netip.Addr, b []byte) Outcome {
	from = from.Unmap()
	pl, o := parseReply(from.Is4(), b, p.cfg.Size)
	if o != Counted {
		return o
	}
	// The cookie is compared for an echo that was sent alone: until then it is 0.
	if int64(pl.host) >= int64(len(p.hosts)) {
		return Foreign
	}
	h := &p.hosts[pl.host]
	// One host may be called fe80::1%eth0 and fe80::1%2: zones are not compared.
	if int64(pl.echo) >= int64(h.sent) || from.WithZone("") != h.addr.WithZone("") {
		return Foreign
	}
	pr := p.probe(int(pl.host), int(pl.echo))
	if pl.cookie != pr.cookie {
		return Foreign
	}
	if pr.rtt != 0 {
		return Duplicate
	}
	pr.rtt = max(at.Sub(p.start.Add(pr.sent)), 1)
	p.maxRTT = max(p.maxRTT, pr.rtt)
	h.received++
	if h.failed {
		return Counted
	}
	if h.lost > h.sent-h.received {
		h.lost-- // it was not lost after all, and is not waited for
	} else {
		p.missing--
	}
	if h.received == 1 {
		p.unheard--
	}
	return Counted
}

// Fail tells that a host cannot be reached. Nothing more is sent to it or
// waited for from it. Addresses that are not probed are ignored.
func (p *Prober) Fail(from netip.Addr) {
	if i, ok := p.find(from); ok {
		p.fail(i)
	}
}

// Lose tells that an echo to a host is lost, of which an error has come that may pass. Its
// answer is not waited for; the next echo is sent. Of a host that has lost all its echoes
// nothing is waited for, as after [Prober.Fail]. Addresses that are not probed are ignored.
func (p *Prober) Lose(from netip.Addr) {
	i, ok := p.find(from)
	if !ok {
		return
	}
	h := &p.hosts[i]
	if h.lost >= h.sent-h.received {
		return
	}
	if h.lost++; int(h.lost) == p.cfg.Count {
		h.lost--
		p.fail(i)
		return
	}
	p.missing--
}

// find gives the host of an address that is probed and has not failed.
func (p *Prober) find(from netip.Addr) (i int, ok bool) {
	if p.index == nil {
		p.index = make(map[netip.Addr]int32, len(p.hosts))
		for i := range p.hosts {
			p.index[p.hosts[i].addr] = int32(i)
		}
	}
	k, ok := p.index[from.Unmap()]
	return int(k), ok && !p.hosts[k].failed
}

// fail takes host i out.
func (p *Prober) fail(i int) {
	h := &p.hosts[i]
	h.failed = true
	p.live--
	p.missing -= int(h.sent - h.received - h.lost)
	if h.received == 0 {
		p.unheard--
	}
	p.skip()
}

// Expire ends the waiting when its time is over at now.
func (p *Prober) Expire(now time.Time) {
	if p.allSent() && !now.Before(p.deadline()) {
		p.timedOut = true
	}
}

// Next reports when the Prober wants to be called: Transmit while echoes are
// left to send (an instant that has passed when one is due), then Expire. ok is
// false when it is done.
func (p *Prober) Next() (at time.Time, ok bool) {
	switch {
	case p.Done():
		return time.Time{}, false
	case !p.allSent():
		return p.roundAt, true
	}
	return p.deadline(), true
}

// Done reports whether all is sent and no more answers are waited for.
func (p *Prober) Done() bool {
	return p.timedOut || p.live == 0 || p.allSent() && p.missing == 0
}

// Stats sums up the echoes to host i, by its index in the hosts of NewProber.
// It may be called at any time.
func (p *Prober) Stats(i int) Stats {
	h := &p.hosts[i]
	var few [8]time.Duration // as many as fit here cost no allocation
	rtts := few[:0]
	for k := range int(h.sent) {
		if d := p.probe(i, k).rtt; d != 0 {
			rtts = append(rtts, d)
		}
	}
	s := Stats{Sent: int(h.sent)}
	s.summarize(rtts)
	return s
}

// probe gives echo k to host i.
func (p *Prober) probe(i, k int) *probe { return &p.probes[i*p.cfg.Count+k] }
