package mdalp

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

// The size of extended segments, and what a path takes.

const (
	// safeSegment fits into the packets of any path that is in use.
	safeSegment = 1200

	headers4 = 20 + 8 // bytes of IPv4 and UDP (RFC 791, RFC 768)
	headers6 = 40 + 8 // of IPv6 and UDP (RFC 8200)
	echoes   = 8      // of ICMP: as many as of UDP, so that both packets have one size
)

// tooLong reports whether an error says that a packet does not fit into the path.
func tooLong(err error) bool { return errors.Is(err, syscall.EMSGSIZE) }

// segmentSize is how large segments may be by what receivers and routes say. try says that
// only an echo of that size can tell whether the path takes it.
func (s *session) segmentSize() (size int, try bool) {
	size = wire.MaxSegment
	for i := range s.peers {
		size = min(size, s.peers[i].seg)
	}
	if s.cfg.Segment > 0 {
		return min(size, max(s.cfg.Segment, wire.MinSegment)), false
	}
	for i := range s.peers {
		a := s.peers[i].addr.Addr()
		fits := safeSegment
		if s.cfg.mtu != nil {
			headers := headers4
			if a.Is6() {
				headers = headers6
			}
			h := s.header(fits) // of larger segments it has no more digits
			fits = max(fits, s.cfg.mtu(a)-headers-h.Len()-s.overhead())
		}
		size = min(size, fits)
		try = try || fits > safeSegment && !s.here(a)
	}
	return size, try && size > safeSegment
}

// here reports whether an address is this host's: there is no path to it that could take
// only smaller packets.
func (s *session) here(a netip.Addr) bool {
	return a.IsLoopback() || s.cfg.ours != nil && s.cfg.ours(a)
}

// header is what this transaction's segments begin with, if they are of that size: in the
// short form where everybody takes it.
func (s *session) header(segment int) wire.SegmentHeader {
	short := true
	for i := range s.peers {
		short = short && s.peers[i].short
	}
	return wire.NewSegmentHeader(s.tid, (s.size-1)/int64(segment)+1, short)
}

// A large is the echo of a segment's size to every receiver, with the don't-fragment
// flag: the path itself answers whether it fits.
type large struct {
	*icmp.Prober
	hosts []netip.Addr
	size  int  // of a segment
	over  bool // it is not waited for any longer
}

// awaited reports whether an answer is still to come.
func (l *large) awaited(now time.Time) bool { return l.Prober != nil && !l.over && !l.Done() }

// fits reports whether every host has answered.
func (l *large) fits() bool {
	for i := range l.hosts {
		if l.Stats(i).Received == 0 {
			return false
		}
	}
	return true
}

func (l *large) receive(e *loop.Envelope, b []byte) bool {
	return l.Prober != nil && l.Receive(e.At, e.Peer.Addr(), b) == icmp.Counted
}

func (l *large) fail(a netip.Addr) {
	if l.Prober != nil {
		l.Fail(a)
	}
}

func (l *large) expire(now time.Time) {
	if l.Prober != nil {
		l.Expire(now)
	}
}

// extends reports whether the offer, and this client's user, allow the extended protocol.
func (s *session) extends() bool {
	return !s.cfg.Base && len(s.peers) > 0 && wire.Extended(s.pinging.names.offer)
}

// announce announces the payload, once the size of its segments is known.
func (p *pinging) announce(now time.Time) {
	s := p.s
	if s.dialog.on || s.cfg.offerOnly || s.cfg.planOnly || !s.extends() {
		return
	}
	l := &p.large
	if l.Prober == nil {
		size, try := s.segmentSize()
		if try && !p.probeSize(now, size) {
			size = safeSegment
		} else if try {
			return
		}
		s.dialog.begin(now, size)
		return
	}
	if l.awaited(now) {
		p.hurry(now)
		return
	}
	if !l.fits() {
		s.log.Info("a packet of a larger segment's size was not answered",
			"bytes", l.size, "segment", safeSegment)
		l.size = safeSegment
	}
	s.dialog.begin(now, l.size)
}

// probeSize sends an echo of the size of a segment to every receiver; false where nobody
// can be pinged.
func (p *pinging) probeSize(now time.Time, size int) bool {
	s := p.s
	var hosts []netip.Addr
	seen := make(map[netip.Addr]bool, len(s.peers))
	for _, r := range s.peers {
		a := r.addr.Addr()
		if s.mode(a) == icmp.Off {
			return false
		}
		if !seen[a] {
			seen[a] = true
			hosts = append(hosts, a)
		}
	}
	key := s.cfg.key
	key[29]++ // cookies of its own
	h := s.header(size)
	p.large = large{hosts: hosts, size: size, Prober: icmp.NewProber(now, icmp.Config{
		Count: 1, Timeout: s.cfg.EchoTimeout, ID: echoID(&s.cfg.key), Key: key,
		Size: size + h.Len() + s.overhead(),
	}, hosts)}
	return true
}

// hurry bounds the wait for large echoes, once the others are answered: many paths and
// hosts have no answer to them at all.
func (p *pinging) hurry(now time.Time) {
	s := p.s
	var worst time.Duration
	for _, r := range p.rounds {
		if !r.Done() {
			return
		}
		for i := range r.hosts {
			worst = max(worst, r.Stats(i).Max)
		}
	}
	if !s.timers.Armed(timerLarge) {
		s.timers.Arm(timerLarge, now.Add(3*worst+50*time.Millisecond))
	}
}

// layout ends the pinging, and gives everyone a part of the segments: by latency, or the
// same to each. total is the number of segments.
func (s *session) layout(now time.Time, segment int) (total int64, parts []int64) {
	s.report.Probe = now.Sub(s.entered)
	if len(s.pinging.rounds) == 0 {
		s.report.Probe = 0
	}
	latencies := s.weigh()
	total = (s.size-1)/int64(segment) + 1
	parts = sched.SplitEqual(total, len(s.peers))
	if s.cfg.pings() && s.cfg.Balance == BalanceLatency {
		parts = sched.Split(total, latencies)
	}
	s.report.Extended, s.report.Segment, s.report.Segments = true, segment, total
	var from, seq int64
	for i, n := range parts {
		seq += n
		to := min(s.size, seq*int64(segment)) // the last segment may be shorter
		s.report.Receivers[i].Assigned, s.report.Receivers[i].Share = n, to-from
		from = to
	}
	return total, parts
}

// foresee ends a plan of an extended transfer. What a server has of the payload, and how
// many segments it takes at once, it says only when that is announced.
func (s *session) foresee(now time.Time) {
	size, _ := s.segmentSize()
	total, _ := s.layout(now, size)
	s.report.Left = total
	s.finish(now, nil)
}

// bytes is how many bytes of the payload rising ranges of SEQs are.
func (x *blocks) bytes(ranges []wire.Range) (n int64) {
	for _, r := range ranges {
		if from := r.First * int64(x.segment); from < x.s.size {
			n += min(x.s.size-from, (r.Last-r.First+1)*int64(x.segment))
		}
	}
	return n
}

// begin lays out an extended transfer and starts it.
func (x *blocks) begin(now time.Time) {
	s := x.s
	x.segment = int(s.dialog.manifest.Seg)
	_, shares := s.layout(now, x.segment)
	receivers := make([]sched.ExtendedReceiver, len(s.peers))
	for i := range receivers {
		r := &s.report.Receivers[i]
		win := s.peers[i].win
		if s.dialog.open.Window > 0 {
			win = s.dialog.open.Window
		}
		receivers[i] = sched.ExtendedReceiver{Window: win, Latency: r.Latency, Share: shares[i]}
	}
	x.header = s.header(x.segment)
	x.transfer = sched.NewExtended(now, s.size, x.segment, receivers, sched.ExtendedConfig{
		Window: s.cfg.Window, Rate: float64(s.cfg.Rate),
		Overhead:   x.header.Len() + s.overhead(),
		NoFailover: s.cfg.NoFailover || s.cfg.Balance == BalanceNone,
	})
	if have := s.dialog.open.Have; len(have) > 0 {
		stored := make([]sched.Range, len(have))
		for k, r := range have {
			stored[k] = sched.Range(r)
		}
		x.transfer.Have(stored)
		s.report.Resumed = x.bytes(have)
		if from := s.dialog.manifest.Resume; from != wire.Absent {
			s.log.Warn(fmt.Sprintf("resuming transaction %d: %d %% is there", from,
				s.report.Resumed/max(1, s.size/100)))
		}
	}
	x.source.stream(s.reader, s.size, len(s.peers), x.segment, s.cfg.memory)
	for i, p := range s.peers {
		r := &s.report.Receivers[i]
		s.tell(func(t *Trace) {
			if t.Share != nil {
				t.Share(TraceShare{i, p.addr, r.Latency, r.Share, r.Assigned, receivers[i].Window})
			}
		})
	}
	s.stage = x
	s.enter(now, PhaseSending)
}
