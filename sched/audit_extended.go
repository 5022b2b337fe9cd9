package sched

import "fmt"

// audit is Transfer.Audit of an extended transfer. What it checks: the flights add up;
// none grows beyond its windows but by probes; every SEQ is delivered or held in at
// least one place, and what is to be sent again is out or queued; a timer is armed
// where something is out; no burst was longer than the bucket; what is remembered is
// in proportion to flights and queues.
func (x *extended) audit() error {
	copies := make(map[int64]int32) // transmissions of SEQs that are in the ledger
	var sole, unsent, claimed, acked int64
	living := 0
	for i := range x.to {
		l := &x.to[i]
		n, err := l.auditFlight(int64(x.segment), copies)
		if err == nil {
			err = l.auditTimers()
		}
		if err != nil {
			return fmt.Errorf("receiver %d: %w", i, err)
		}
		if !x.cfg.NoFailover && l.dead() && (l.flight.out > 0 || x.living > 0 && l.unsent() > 0) {
			return fmt.Errorf("receiver %d is dead and keeps segments", i)
		}
		if x.left > 0 && !l.dead() && l.spent() {
			return fmt.Errorf("receiver %d gets no more, is not waited for, and lives", i)
		}
		sole += n
		unsent += l.fresh.n
		claimed += l.claim
		acked += l.stats.Acked
		living += count(!l.dead())
	}
	unsent += x.unowned.n + x.pool.n
	claimed += x.open
	held := int64(len(x.ledger.held))
	switch {
	case living != x.living:
		return fmt.Errorf("%d receivers live, counted are %d", living, x.living)
	case claimed != x.pool.n:
		return fmt.Errorf("%d segments of the pool are claimed, there are %d", claimed, x.pool.n)
	case unsent != x.unsent:
		return fmt.Errorf("%d segments were never sent, counted are %d", unsent, x.unsent)
	case sole+unsent+held != x.left:
		return fmt.Errorf("%d segments are out, %d new and %d in the ledger; counted are %d left", sole,
			unsent, held, x.left)
	case acked+x.had+x.left != x.total:
		return fmt.Errorf("%d segments are acknowledged, %d were stored, %d are left, of %d", acked, x.had,
			x.left, x.total)
	case x.backups > x.total/backupShare:
		return fmt.Errorf("%d backup copies of %d segments", x.backups, x.total)
	}
	if err := x.cap.audit(); err != nil {
		return fmt.Errorf("the cap: %w", err)
	}
	return x.auditLedger(copies)
}

// auditFlight checks a flight, counts its transmissions that are the only ones of their
// SEQ, and all others by SEQ.
func (l *lane) auditFlight(segment int64, copies map[int64]int32) (sole int64, err error) {
	f := &l.flight
	var out int
	var bytes int64
	if f.head > f.oldest || f.oldest > f.next || f.next-f.head > int64(len(f.ring)) || f.largest >= f.next {
		return 0, fmt.Errorf("NUMs are %d, %d, %d, %d in %d places", f.head, f.oldest, f.largest, f.next,
			len(f.ring))
	}
	for num := f.head; num < f.next; num++ {
		s := f.at(num)
		switch {
		case s.flags&isOut == 0:
			if s.flags&(isAcked|isLost) == 0 {
				return 0, fmt.Errorf("NUM %d is nothing", num)
			}
			continue
		case num < f.oldest || s.flags&(isAcked|isLost) != 0:
			return 0, fmt.Errorf("NUM %d is out and %b", num, s.flags)
		case s.flags&isShared == 0:
			sole++
		case s.flags&isVoid == 0:
			copies[s.seq]++
		}
		out++
		bytes += int64(s.size)
	}
	if out != f.out || bytes != f.bytes {
		return 0, fmt.Errorf("%d segments of %d bytes are out, counted are %d of %d", out, bytes, f.out,
			f.bytes)
	}
	// A flight grows up to the window, and above it by probes alone.
	grown, probes := bytes-l.checked.bytes, l.checked.probes-l.checked.seen
	if bytes > l.control.window() && grown > probes*segment {
		return 0, fmt.Errorf("%d bytes are out, %d more, with %d probes; the window is %d", bytes, grown,
			probes, l.control.window())
	}
	l.checked.bytes, l.checked.seen = bytes, l.checked.probes
	if out > l.window {
		return 0, fmt.Errorf("%d segments are out, %d is the most", out, l.window)
	}
	return sole, nil
}

// auditTimers checks that what is out has a timer, and the pacer.
func (l *lane) auditTimers() error {
	if at, _ := l.recovery.due(&l.flight); at == never && l.flight.out > 0 {
		return fmt.Errorf("%d segments are out and no timer is armed", l.flight.out)
	}
	return l.pacer.audit()
}

// audit checks that no burst was longer than allowed.
func (p *pacer) audit() error {
	if p.debt > p.deep {
		return fmt.Errorf("a burst of %v, allowed are %v", p.debt, p.deep)
	}
	return nil
}

// auditLedger checks that what is in the ledger will be delivered: it is out or queued.
func (x *extended) auditLedger(copies map[int64]int32) error {
	waits := make(map[int64]bool)
	list := func(r *runs) {
		for _, w := range r.q[r.head:] {
			for seq := w.first; seq < w.end; seq++ {
				waits[seq] = true
			}
		}
	}
	list(&x.orphans)
	for i := range x.to {
		list(&x.to[i].again)
	}
	var queued int64
	for seq, h := range x.ledger.held { // order does not show
		switch {
		case seq < 0 || seq >= x.total:
			return fmt.Errorf("SEQ %d is in the ledger", seq)
		case h.queued && !waits[seq]:
			return fmt.Errorf("SEQ %d is to be sent again and in no queue", seq)
		case !h.queued && copies[seq] == 0:
			return fmt.Errorf("SEQ %d is lost and forgotten", seq)
		case h.out != copies[seq]:
			return fmt.Errorf("SEQ %d is out %d times, counted are %d", seq, copies[seq], h.out)
		}
		queued += int64(count(h.queued))
	}
	if queued != x.ledger.queued {
		return fmt.Errorf("%d SEQs wait to be sent again, counted are %d", queued, x.ledger.queued)
	}
	return nil
}
