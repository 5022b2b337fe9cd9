package server

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"net/netip"
	"time"

	"mdalp/wire"
)

// A Fleet is what an [Orchestrator] is part of whose receivers, and other orchestrators, are
// programs of their own. It has no segments come by itself: what its receivers have taken it
// asks for, see [Gatherer]. Its Store is the fleet's, and one process alone has none.
type Fleet interface {
	// Choose gives the receivers for transaction tid, as they are offered. None, and it is
	// asked again a little later. It is called in the loop, as Ready is, which tells whether
	// there are any.
	Choose(tid int64) []wire.Receiver
	Ready() bool

	// The following may block, and are called beside the loop.

	// Create has the others know a transaction before its offer leaves. It fails with
	// fs.ErrExist where there is one of that number, and with [ErrElsewhere] where another has
	// this one by now; any other error has it tried again.
	Create(m Meta) error
	// Find gives a transaction that a client asks for here, from that address, and that
	// this orchestrator does not know: from then on it is this one's. It is nil where there
	// is none of that client.
	Find(tid int64, client netip.Addr) (*Found, error)
}

// ErrElsewhere is the error of a [Place] or a [Spool] whose transaction is another
// orchestrator's now, or left to the next one: nothing is to be said about it here.
var ErrElsewhere = errors.New("another orchestrator answers for it")

// ErrMissing is the error of a [Place] of a [Fleet] of which less is there, when it is
// published, than was gathered. It takes segments again.
var ErrMissing = errors.New("segments are missing that were there before")

// A Gatherer is a [Place] or a [Spool] of a [Fleet]: its segments are taken elsewhere.
type Gatherer interface {
	// Gather asks what is there, or will be when those who have taken it are started
	// again. With an error nothing is known. It may block, and is called beside the loop,
	// while nothing but Write or Put is.
	//
	// With sure it fails with ErrElsewhere where another orchestrator has taken the transaction
	// over, whatever became of it there. With final the client of an extended one believes that all
	// has arrived: where that is so, nothing more is to be taken, as Publish comes next; and one of
	// the base protocol may be over, and nothing more is to be taken until it is asked for again.
	Gather(sure, final bool) (Gathered, error)
}

// Gathered is what receivers have of a transaction.
type Gathered struct {
	Have []wire.Range // of segments, rising
	// Idle is how long ago the last of them came; less than 0 if none did.
	Idle time.Duration
	// Shares is what each receiver has, in the order of the offer.
	Shares []Share
	// High is one more than the highest SEQ that came, and Over says that one came that
	// could not be stored; of the base protocol.
	High int64
	Over bool
}

// Found is what a [Fleet] knows of a transaction that began elsewhere.
type Found struct {
	Meta
	Receivers []wire.Receiver
	Spool     Spool
	// Place is not nil for an extended payload of Size bytes that is open, of which Have
	// is there.
	Place Place
	Size  int64
	Have  []wire.Range
	// Verdict is not Unknown for an extended one that has ended: Complete, with the digest
	// of the payload; Damaged; or Refused, for the reason Comment, where Resume says that
	// what is there may be resumed.
	Verdict wire.Standing
	SHA256  [sha256.Size]byte
	Comment string
	Resume  bool
	// Unused, if not nil, is called where the Orchestrator does not take it up, as it knows
	// that transaction or is closed: its Fleet must not go on to believe that somebody has it.
	Unused func()
}

const (
	// createAgain is when a transaction is tried again that the others could not be told of.
	createAgain = time.Second
	// mostFinds is how many transactions may be asked for at once. A client whose manifest
	// finds too many asks again.
	mostFinds = 1024
)

// introduce has the others told of t, and then its offer sent. As long as nobody can be told
// it waits.
func (s *Orchestrator) introduce(now time.Time, t *transaction) {
	if t.busy {
		return
	}
	if t.offered = s.cfg.Fleet.Choose(t.tid); len(t.offered) == 0 {
		t.release = now.Add(createAgain)
		s.arm(t, t.release)
		return
	}
	t.shares = sharesOf(t.offered)
	if t.seal != nil && !t.seal.Offered(wire.AppendOffer(nil, t.tid, t.offered)) {
		s.withdraw(t)
		return
	}
	t.busy = true
	s.wheel.Stop(t.slot)
	m := Meta{TID: t.tid, Segment: t.segment, Client: t.client, Offered: now, Key: t.key()}
	s.beside(func() func(time.Time) {
		err := s.cfg.Fleet.Create(m)
		return func(now time.Time) { s.introduced(now, t, err) }
	})
}

// introduced sends the offer of t, which the others know of now, or err says why not.
func (s *Orchestrator) introduced(now time.Time, t *transaction, err error) {
	t.busy = false
	taken := errors.Is(err, fs.ErrExist) || errors.Is(err, ErrElsewhere) // no other try brings it about
	switch {
	case t.phase != held: // it was withdrawn
	case s.draining:
		s.withdraw(t)
	case err == nil:
		t.introduced = true
		s.offer(t)
	case taken && t.seal != nil:
		s.withdraw(t) // its client repeats the intent, for another handshake
	case taken:
		o, i := t.origin, waiter{intent: intent{peer: t.client, local: t.local, sock: t.sock}}
		o.live++ // so that it stays
		s.withdraw(t)
		o.live--
		s.start(now, o, i)
	default:
		s.tell(now, tellStart, "no transaction can begin, intents wait", "client", t.client, "err", err)
		t.release = now.Add(createAgain)
		s.arm(t, t.release)
	}
}

// sharesOf is what receivers have taken that were just offered.
func sharesOf(rs []wire.Receiver) []Share {
	shares := make([]Share, len(rs))
	for i, r := range rs {
		a, _ := netip.ParseAddr(r.Host)
		shares[i].Receiver = Receiver{Addr: netip.AddrPortFrom(a, r.Port), Name: r.Name}
	}
	return shares
}

// find has the fleet asked for a transaction that is not known here. Of several manifests
// the newest is answered.
func (s *Orchestrator) find(now time.Time, tid int64, from netip.Addr, said *announcement) {
	if m := s.finding[tid]; m != nil {
		if m.path.peer.Addr() == from && m.seq <= said.seq {
			*m = *said
		}
		return
	}
	if len(s.finding) >= mostFinds {
		s.stats.StatesDropped++
		return
	}
	m := new(announcement)
	*m = *said
	s.finding[tid] = m
	s.beside(func() func(time.Time) {
		f, err := s.cfg.Fleet.Find(tid, from)
		return func(now time.Time) {
			delete(s.finding, tid)
			switch {
			case err != nil: // it is asked for again
				s.tell(now, tellStore, "a transaction cannot be looked for", "tid", tid, "err", err)
				return
			case f == nil:
				s.answer(reply{tid: tid, seq: m.seq, path: m.path})
				return
			}
			if s.Adopt(now, f) {
				s.hear(now, s.byTID[tid], m)
			}
		}
	})
}

// Adopt makes a transaction of what was found: of one that a client asks for, or whose
// orchestrator is gone. One that is known here stays as it is, and then it is false, as it is
// after Close.
func (s *Orchestrator) Adopt(now time.Time, f *Found) bool {
	if s.byTID[f.TID] != nil || s.closed {
		if f.Unused != nil {
			f.Unused()
		}
		return false
	}
	s.stats.Recovered++
	t := &transaction{flow: flow{tid: f.TID}, client: f.Client, segment: s.cfg.SegmentLimit,
		spool: f.Spool, found: true, phase: open,
		abroad: abroad{offered: f.Receivers, introduced: true}}
	s.register(t, s.origin(sourceOf(f.Client.Addr(), false)))
	t.shares = sharesOf(f.Receivers)
	t.start, t.last, t.stored = now, now, now
	t.limit = now.Add(s.cfg.Limit)
	if f.Verdict != wire.Unknown {
		x := s.extend(t, f.Size, int64(max(1, f.Segment)), nil, nil)
		x.dialog.verdict, x.dialog.comment, x.dialog.resumable = f.Verdict, f.Comment, f.Resume
		t.sum = f.SHA256
		if f.Verdict == wire.Complete { // if that is what the client sent
			x.dialog.verdict = wire.Unknown
		}
		s.bury(now, t, false)
		return true
	}
	if f.Place != nil {
		s.extend(t, f.Size, int64(f.Segment), f.Place, f.Have).name = f.Name
		t.ext.told = true
		t.limit = now.Add(s.cfg.Silence)
	}
	s.cfg.Log.Info("transaction taken over", "tid", t.tid, "client", t.client, "bytes", t.bytes())
	s.enter(t)
	s.arm(t, s.due(t))
	s.beat(now)
	return true
}
