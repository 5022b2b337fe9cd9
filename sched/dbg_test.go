package sched
import "testing"
func dump(t *testing.T, n *net, f *flow) {
	x := f.tr.ext
	at, ok := x.next()
	t.Logf("next %v %v queue %d wake %v gen %d unsent %d queued %d orphans %d unowned %d held %v", at, ok, n.q.Len(), f.wake, x.gen, x.unsent, x.ledger.queued, x.orphans.n, x.unowned.n, x.ledger.held)
	for i := range x.to {
		l := &x.to[i]
		d, p := l.recovery.due(&l.flight)
		t.Logf("%d: dead %v out %d fresh %d again %d stuck %v dry %d probes %d due %v %v backoff %d pacer %+v window %d heard %v nums %d..%d", i, l.dead(), l.flight.out, l.fresh.n, l.again.n, l.stuck, l.dry, l.probes, d, p, l.recovery.backoff, l.pacer, l.control.window(), l.heard, l.flight.oldest, l.flight.next)
	}
}
