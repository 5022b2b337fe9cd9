package sched

import "time"

// ack takes an acknowledgement of receiver i: ranges of NUM, the largest first. newly
// is how many transmissions it acknowledges that were not before.
func (x *extended) ack(now time.Duration, i int, ranges []Range) (newly int64, o Outcome) {
	l := &x.to[i]
	f := &l.flight
	for _, r := range ranges {
		// RFC 9002 has a protocol violation here (RFC 9000, section 13.1). With UDP
		// anybody may have made it up.
		if r.Last >= f.next || r.First > r.Last || r.First < 0 {
			return 0, Unsent
		}
	}
	if len(ranges) == 0 {
		return 0, Unsent
	}
	largest, sent := ranges[0].Last, never
	if f.unacked(largest, largest) == largest {
		sent = f.at(largest).at
	}
	var bytes, grown int64
	for _, r := range ranges {
		for num := f.unacked(r.Last, r.First); num >= 0; num = f.unacked(num-1, r.First) {
			s := f.at(num)
			newly++
			bytes += int64(s.size)
			if s.flags&isOut != 0 && !l.control.cubic.inRecovery(s.at) {
				grown += int64(s.size)
			}
			x.deliver(l, s)
			f.acked(num)
		}
		f.bridge(r.First, r.Last)
	}
	if newly == 0 {
		l.stats.Duplicate++
		return 0, Duplicate
	}
	if l.acks++; l.acks == 1 && l.stats.Timeouts == 0 {
		l.control.cubic.answered()
	}
	if l.dead() {
		x.revive(i)
	}
	l.heard, l.stuck, l.recovery.backoff = now, false, 0
	l.stats.Last = x.epoch.Add(now)
	f.largest = max(f.largest, largest)
	if sent != never {
		x.sample(now, l, now-sent)
	}
	x.round(now, l, largest, bytes)
	episode := l.control.cubic.episode
	x.losses(now, l)
	if l.control.cubic.episode != episode {
		grown = 0 // a recovery period began, and all of it was sent before
	}
	l.control.cubic.acked(now, float64(grown), l.recovery.smoothed, l.rounds-l.fullIn <= 1)
	l.pace(now, x.segment)
	f.retire(now - l.recovery.keep())
	if x.unsent == 0 {
		x.gen++ // the end is near: who is idle may make copies
	}
	return newly, Fresh
}

// deliver counts a transmission that is acknowledged.
func (x *extended) deliver(l *lane, s *shot) {
	if s.flags&isLost != 0 {
		l.stats.Spurious++
		if s.flags&isTold != 0 {
			l.control.cubic.mistaken(s.episode)
		}
	}
	if x.ledger.deliver(s) {
		x.left--
		l.stats.Acked++
		l.stats.Bytes += int64(s.size)
	}
}

// sample takes a round trip.
func (x *extended) sample(now time.Duration, l *lane, d time.Duration) {
	l.recovery.sample(now, d)
	l.control.cubic.sample(l.recovery.latest)
	if l.stats.Samples == 0 || d < l.stats.AckMin {
		l.stats.AckMin = d
	}
	l.stats.AckMax = max(l.stats.AckMax, d)
	l.stats.AckSum += d
	l.stats.Samples++
}

// round counts bytes that arrived, and begins the next round when largest says so.
func (x *extended) round(now time.Duration, l *lane, largest, bytes int64) {
	l.roundHad += bytes
	if largest < l.roundEnd {
		return
	}
	// The first round has no time before it in which anything could arrive.
	if d := now - l.roundAt; l.rounds > 0 && d > 0 && !l.roundCut {
		r := float64(l.roundHad) / float64(d)
		if l.rate == 0 {
			l.rate = r
		}
		l.rate += (r - l.rate) / 2
	}
	l.rounds++
	l.roundEnd, l.roundAt, l.roundHad, l.roundCut = l.flight.next, now, 0, false
	l.control.cubic.round()
	x.gen++
}

// losses takes what is lost out of the flight, to be sent again.
func (x *extended) losses(now time.Duration, l *lane) {
	for s := l.recovery.lost(&l.flight, now); s != nil; s = l.recovery.lost(&l.flight, now) {
		l.stats.Lost++
		s.flags |= isTold
		s.episode = l.control.lost(now, s.at)
		if x.ledger.lost(s) {
			l.again.push(s.seq, s.seq+1)
			x.gen++
		}
	}
	if l.recovery.persistent {
		l.recovery.persistent, l.recovery.renew = false, true
		l.control.cubic.collapse()
	}
}

// pace sets the pacer to the window and the round trip.
func (l *lane) pace(now time.Duration, segment int) {
	if l.recovery.sampled != never {
		l.pacer.rate(now, l.control.gain()*float64(l.control.window())/float64(l.recovery.smoothed), segment)
	}
}

// expire takes every timer that is due.
func (x *extended) expire(now time.Duration) {
	for i := range x.to {
		l := &x.to[i]
		if l.dead() {
			continue
		}
		at, probe := l.recovery.due(&l.flight)
		if at == never || at > now {
			continue
		}
		l.stuck = false
		x.gen++
		if probe {
			// What this comes late by, as where the machine stood still, is nobody's silence.
			l.heard += now - max(at, l.heard)
			x.timeout(now, i)
			continue
		}
		x.losses(now, l)
		l.pace(now, x.segment)
	}
}

// timeout is the end of a probe timeout (RFC 9002, section 6.2): nothing is lost by
// that, but one segment goes out to draw an ack.
func (x *extended) timeout(now time.Duration, i int) {
	l := &x.to[i]
	if x.left == 0 {
		l.flight.abandon() // copies of what was delivered: nobody waits for them
		return
	}
	l.recovery.lastSent = now // the next one counts from here, even if a cap holds the probe up
	if l.probes > 0 && !l.tried() {
		return // the last one has not left: its silence says nothing
	}
	l.stats.Timeouts++
	l.recovery.backoff++
	if l.recovery.backoff >= deadProbes && now-l.heard >= deadAfter {
		x.kill(i, ErrSilent)
		return
	}
	l.probes, x.probing = 1, true
}
