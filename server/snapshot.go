package server

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// What bounds a [Snapshot], whatever the server has.
const (
	// MostShown is how many open transactions it tells of, the oldest.
	MostShown = 200
	// MostReceivers is of how many receivers it tells, the first of the offer.
	MostReceivers = 64
	// mostLooked is how many timers are looked at for open transactions: more than there
	// are with the default bounds.
	mostLooked = 1 << 16
)

// A Snapshot is what a server has at one instant, for those who look on. Nothing in it
// changes any more, so that any goroutine may read it.
type Snapshot struct {
	At    time.Time
	Stats Stats
	// Open is how many transactions are not settled, Placed how many of them hold one of
	// Places, see Config.Concurrent; Waiting is how many intents wait.
	Open, Placed, Places, Waiting int
	// Offered is how many receivers there are.
	Offered int
	// Draining says that no transactions begin any more.
	Draining bool
	// Transactions are the oldest open ones, MostShown at most: those with segments, by when
	// they were offered and then by TID, and behind them the others.
	Transactions []OpenTransaction
	// Receivers is what the open transactions have brought so far, all of them and not
	// only those above, for the first MostReceivers.
	Receivers []Share
}

// A Stage says how far an open transaction is.
type Stage uint8

// The stages.
const (
	StageOffered   Stage = iota // its client has not sent a segment yet
	StageReceiving              // it takes segments
	StageSettling               // its payload is being put together, checked or published
)

// String gives one word.
func (s Stage) String() string { return [...]string{"offered", "receiving", "settling"}[s] }

// An OpenTransaction is a transaction that has no verdict yet.
type OpenTransaction struct {
	TID    int64
	Client netip.AddrPort
	// Name is what the client calls an extended payload. It comes from a stranger.
	Name      string
	Key       string // the name of the key that it is sealed with; empty in the clear
	Stage     Stage
	Extended  bool
	Recovered bool // it began in a former process
	// Begun is when it was offered; zero if it has not been. Last is when a segment came.
	Begun, Last time.Time
	Bytes       int64 // payload stored
	Size        int64 // of the whole payload; 0 when that is not known
	Segments    int64 // stored
	// Lost is how many transmissions did not arrive, or are still under way behind others
	// that did: the NUMs of the extended protocol count them. Less than 0 is not known.
	Lost int64
	// Receivers is what each took, of the first MostReceivers.
	Receivers []Share
}

// Snapshot tells what there is. It takes no longer than some ten microseconds for 50 open
// transactions, and about a millisecond at its bounds. It is called as the Handler's methods
// are, and changes nothing.
func (s *Server) Snapshot(now time.Time) *Snapshot {
	n := &Snapshot{
		At: now, Stats: s.stats, Open: s.open, Placed: s.placed.len(), Places: s.cfg.Concurrent,
		Waiting: s.Waiting(), Offered: len(s.cfg.Receivers), Draining: s.draining,
	}
	shown := s.cfg.Receivers[:min(len(s.cfg.Receivers), MostReceivers)]
	n.Receivers = make([]Share, len(shown))
	for i := range shown {
		n.Receivers[i].Receiver = shown[i]
	}
	open := make([]*transaction, 0, min(s.open, mostLooked))
	for _, t := range s.slots[:min(len(s.slots), mostLooked)] {
		if t == nil || t.phase >= settled {
			continue
		}
		open = append(open, t)
		for i := range n.Receivers {
			r, x := &n.Receivers[i], &t.shares[i]
			r.Bytes += x.Bytes
			r.Segments += x.Segments
			r.Duplicates += x.Duplicates
		}
	}
	slices.SortFunc(open, older)
	open = open[:min(len(open), MostShown)]
	n.Transactions = make([]OpenTransaction, len(open))
	shares := make([]Share, len(open)*len(shown)) // one piece of memory for all
	for k, t := range open {
		mine := shares[k*len(shown) : (k+1)*len(shown)]
		copy(mine, t.shares)
		n.Transactions[k] = t.shown(mine)
	}
	return n
}

// older puts transactions in the order in which they are shown. A stranger draws as many
// offers as he likes: they come behind those that have segments.
func older(a, b *transaction) int {
	rank := func(t *transaction) int {
		switch {
		case t.used:
			return 0
		case !t.start.IsZero():
			return 1
		}
		return 2 // its offer is held back
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), a.start.Compare(b.start), cmp.Compare(a.tid, b.tid))
}

// shown is t as others see it.
func (t *transaction) shown(shares []Share) OpenTransaction {
	o := OpenTransaction{
		TID: t.tid, Client: t.client, Key: t.key().Name, Recovered: t.found, Begun: t.start, Last: t.last,
		Bytes: t.bytes(), Segments: t.index.Segments(), Lost: -1, Receivers: shares,
	}
	switch {
	case t.phase == settling:
		o.Stage = StageSettling
	case t.used:
		o.Stage = StageReceiving
	}
	if x := t.ext; x != nil {
		o.Extended, o.Name, o.Size, o.Segments = true, x.name, x.size, x.have.n
		// A client of a former process counts on from where it was.
		if !t.found && t.arrived != nil {
			o.Lost = t.lost()
		}
	}
	return o
}

// lost is how many transmissions were before the newest that came, of each receiver, and did
// not come. One that the network doubled may hide another.
func (t *transaction) lost() (n int64) {
	for i := range t.arrived {
		rs := t.arrived[i].nums.set.rs
		if len(rs) == 0 {
			continue
		}
		x := &t.shares[i]
		n += max(0, rs[len(rs)-1].Last+1-x.Segments-x.Duplicates)
	}
	return n
}
