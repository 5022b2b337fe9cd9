package sched

import "time"

// pick says what receiver i, which may send, sends next: what was lost, then what was
// never sent, then what others have too much of, then copies.
func (x *extended) pick(now time.Duration, i int) (seq int64, flags uint8, ok bool) {
	l := &x.to[i]
	if l.probes > 0 && l.flight.out > 0 {
		return x.probe(l)
	}
	l.probes = 0
	if seq, flags, ok = x.own(l); ok {
		return seq, flags, true
	}
	if x.feed(i) {
		if seq, flags, ok = x.own(l); ok {
			return seq, flags, true
		}
	}
	seq, ok = x.copy(now, i)
	return seq, isShared, ok
}

// own takes what receiver l may send without asking the others.
func (x *extended) own(l *lane) (seq int64, flags uint8, ok bool) {
	for l.again.n > 0 {
		if seq = l.again.pop(); x.ledger.resend(seq) {
			return seq, isShared, true
		}
	}
	for x.orphans.n > 0 {
		if seq = x.orphans.pop(); x.ledger.resend(seq) {
			return seq, isShared, true
		}
	}
	if l.fresh.n == 0 && l.claim > 0 {
		x.draw(l, max(int64(x.train), int64(min(blockBytes, l.speed()*float64(blockTime)))/int64(x.segment)))
	}
	if l.fresh.n > 0 {
		x.unsent--
		return l.fresh.pop(), 0, true
	}
	return 0, 0, false
}

// draw gives receiver l a block of the pool, of at most n segments.
func (x *extended) draw(l *lane, n int64) {
	n = min(n, l.claim)
	x.pool.take(n, &l.fresh)
	l.claim -= n
}

// unsent is how many segments wait for receiver l alone.
func (l *lane) unsent() int64 { return l.claim + l.fresh.n + l.again.n }

// probe says what draws an ack after a timeout: something new, or else the oldest
// that is out (RFC 9002, section 6.2.4). Where the receiver takes no more, the oldest
// is taken out of the flight first: a repeat, no addition.
func (x *extended) probe(l *lane) (seq int64, flags uint8, ok bool) {
	room := l.flight.out < l.window && !l.flight.full()
	if room {
		if seq, flags, ok = x.own(l); ok {
			return seq, flags, true
		}
	}
	l.recovery.advance(&l.flight)
	s := l.flight.at(l.flight.oldest)
	if !room {
		l.flight.leave(s, isLost)
		if x.ledger.lost(s) {
			x.ledger.resend(s.seq)
			return s.seq, isShared, true
		}
	}
	if x.ledger.share(s) {
		return s.seq, isShared, true
	}
	return s.seq, isShared | isVoid, true // delivered, but an ack is due all the same
}

// speed is how many bytes a nanosecond receiver l delivers, as far as is known. One
// that is silent is thought to have become slow.
func (l *lane) speed() float64 {
	r := l.rate
	if r == 0 {
		r = float64(l.control.window()) / float64(max(1, l.recovery.smoothed))
	}
	if l.recovery.backoff >= doubtful {
		return r / 1024
	}
	return r
}

// ends is how long receiver l takes for so many segments more.
func (x *extended) ends(l *lane, segments int64) float64 {
	return float64(l.recovery.smoothed) + float64(segments)*float64(x.segment)/l.speed()
}

// feed gives receiver i, which has nothing to send, a part of what waits at the one
// that would end last: so much that both would end together. It is asked again when
// it runs dry again, and so are the others, until all end together.
func (x *extended) feed(i int) bool {
	l := &x.to[i]
	if x.unowned.n+x.open > 0 {
		x.unowned.cut(x.unowned.n, &l.fresh)
		l.claim, x.open = l.claim+x.open, 0
		return true
	}
	if x.cfg.Static {
		return false
	}
	own := float64(l.recovery.smoothed)
	var victim *lane
	last := own
	for j := range x.to {
		if v := &x.to[j]; j != i && !v.dead() && v.unsent() > 0 {
			if e := x.ends(v, v.unsent()); e > last {
				victim, last = v, e
			}
		}
	}
	if victim == nil {
		return false
	}
	a, b := l.speed(), victim.speed()
	n := int64((last - own) * a * b / (a + b) / float64(x.segment))
	all := victim.unsent()
	n = min(max(0, n), all)
	// What rounding left over goes where it is done sooner.
	if n < all && x.ends(l, n+1) < x.ends(victim, all-n) {
		n++
	}
	if n == 0 {
		return false
	}
	c := min(n, victim.claim)
	victim.claim, l.claim = victim.claim-c, l.claim+c
	k := min(n-c, victim.fresh.n)
	victim.fresh.cut(k, &l.fresh)
	victim.again.cut(n-c-k, &l.again)
	l.stats.Took += n
	victim.stats.Gave += n
	return true
}

// copy gives receiver i, for which nothing waits anywhere, a SEQ that is out at
// another: one that has become silent, or, for a small part of the payload, one from
// which the ack would come later than from here.
func (x *extended) copy(now time.Duration, i int) (seq int64, ok bool) {
	for j := range x.to {
		v := &x.to[j]
		if j == i || v.dead() || v.recovery.backoff < doubtful {
			continue
		}
		if s := x.alone(v); s != nil {
			x.ledger.share(s)
			return s.seq, true
		}
	}
	if x.cfg.Static || x.unsent > 0 || x.ledger.queued > 0 || x.backups >= x.total/backupShare {
		return 0, false
	}
	here := 2 * float64(x.to[i].recovery.smoothed)
	var victim *lane
	last := here
	for j := range x.to {
		v := &x.to[j]
		if j == i || v.dead() || v.flight.out == 0 || v.copied == v.flight.oldest {
			continue
		}
		if e := float64(v.flight.bytes) / v.speed(); e > last {
			victim, last = v, e
		}
	}
	if victim == nil {
		return 0, false
	}
	s := x.alone(victim)
	if s == nil || float64(victim.copied-victim.flight.oldest+1)*float64(x.segment)/victim.speed() <= here {
		return 0, false
	}
	x.ledger.share(s)
	x.backups++
	return s.seq, true
}

// alone is the newest transmission that is out at receiver l and nowhere else, of those
// that were not looked at; nil if there is none.
func (x *extended) alone(l *lane) *shot {
	f := &l.flight
	if l.copied < 0 {
		l.copied = f.next
	}
	for l.copied > f.oldest {
		l.copied--
		s := f.at(l.copied)
		if s.flags&(isOut|isVoid) != isOut {
			continue
		}
		if s.flags&isShared == 0 {
			return s
		}
		if h, open := x.ledger.held[s.seq]; open && h.out == 1 && !h.queued {
			return s
		}
	}
	return nil
}

// kill declares receiver i dead. What it had goes to the living.
func (x *extended) kill(i int, err error) {
	l := &x.to[i]
	if l.dead() {
		return
	}
	l.stats.Err = err
	l.probes = 0
	x.living--
	x.gen++
	if x.cfg.NoFailover {
		return
	}
	f := &l.flight
	gave := l.unsent()
	for num := f.oldest; num < f.next; num++ {
		if s := f.at(num); s.flags&isOut != 0 {
			f.leave(s, isLost)
			if x.ledger.lost(s) {
				x.orphans.push(s.seq, s.seq+1)
				gave++
			}
		}
	}
	l.again.cut(l.again.n, &x.orphans)
	l.stats.Gave += gave
	heir := -1
	for j := range x.to {
		if v := &x.to[j]; !v.dead() && (heir < 0 || v.speed() > x.to[heir].speed()) {
			heir = j
		}
	}
	claim := l.claim
	l.claim = 0
	if heir < 0 {
		l.fresh.cut(l.fresh.n, &x.unowned)
		x.open += claim
		return
	}
	x.to[heir].stats.Took += gave
	x.to[heir].claim += claim
	l.fresh.cut(l.fresh.n, &x.to[heir].fresh)
}

// revive takes a receiver that acknowledged something after all back among the
// living. It begins slowly.
func (x *extended) revive(i int) {
	l := &x.to[i]
	l.stats.Err = nil
	l.control.cubic.collapse()
	l.recovery.renew = true
	x.living++
	x.gen++
}
