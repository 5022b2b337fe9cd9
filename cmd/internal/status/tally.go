package status

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"mdalp/server"
)

// mostVerdicts is how many verdicts are kept.
const mostVerdicts = 1000

// A Verdict is how a transaction ended.
type Verdict struct {
	At       time.Time // wall clock
	TID      int64
	Client   netip.AddrPort
	Status   bool
	Outcome  Outcome
	Comment  string
	Name     string // what the client calls the payload; a stranger's
	Extended bool
	Key      string // the name of the key that it was sealed with, or empty
	Bytes    int64
	Segments int64
	Elapsed  time.Duration // from the offer to the verdict
	Settle   time.Duration // of that, from the last segment on
	SHA256   [32]byte      // zero when it is not known
	Err      string        // of the store, or empty
}

// An Outcome is a kind of verdict, as metrics tell them apart.
type Outcome uint8

// The outcomes.
const (
	Complete   Outcome = iota // complete and balanced
	Unbalanced                // complete, and a receiver got too little
	Incomplete                // bytes are missing
	Damaged                   // all is there, with another digest than the client's
	Cut                       // the server ended first; the next one goes on with it
	Unused                    // not one segment came
	outcomes
)

// String gives the word of the metrics.
func (o Outcome) String() string {
	return [...]string{"complete", "unbalanced", "incomplete", "damaged", "cut", "unused"}[o]
}

// outcome tells what r is.
func outcome(r *server.Result) Outcome {
	switch {
	case r.Cut:
		return Cut
	case r.Status:
		return Complete
	case r.Segments == 0:
		return Unused
	case r.Complete:
		return Unbalanced
	case errors.Is(r.Err, server.ErrDamaged):
		return Damaged
	}
	return Incomplete
}

// settleBuckets are the upper bounds of the histogram of Verdict.Settle, in seconds. The
// base protocol waits for a silence of 10 s by default, the extended one for a flush.
var settleBuckets = [...]float64{
	0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120,
}

// A Settling is that histogram: how many were in each bucket alone.
type Settling struct {
	Buckets [len(settleBuckets) + 1]uint64 // the last is for what is above all bounds
	Seconds float64                        // the sum
}

// A Load is what one receiver has taken since the start, of all transactions.
type Load struct {
	Bytes, Segments, Duplicates int64
}

// A tally is what is counted at verdicts, by the loop's goroutine.
type tally struct {
	// verdicts only ever grows at its end, so that others may read what they were given of
	// it; when it has twice as many as are kept, the newer half moves to another place.
	verdicts []Verdict
	outcomes [outcomes]uint64
	settling Settling
	loads    []Load // by receiver
}

// Settled takes a verdict. It is for [server.Config.Settled].
func (p *Page) Settled(r server.Result) {
	if p != nil {
		p.tally.add(time.Now(), &r)
	}
}

func (t *tally) add(now time.Time, r *server.Result) {
	o := outcome(r)
	t.outcomes[o]++
	for i := range r.Receivers[:min(len(r.Receivers), server.MostReceivers)] {
		if i == len(t.loads) {
			t.loads = append(t.loads, Load{})
		}
		x, l := &r.Receivers[i], &t.loads[i]
		l.Bytes += x.Bytes
		l.Segments += x.Segments
		l.Duplicates += x.Duplicates
	}
	if o == Unused {
		return // a stranger makes as many as he likes, and would push out the others
	}
	v := Verdict{
		At: now, TID: r.TID, Client: r.Client, Status: r.Status, Outcome: o, Comment: r.Comment, Name: r.Name,
		Extended: r.Extended, Key: r.Key, Bytes: r.Bytes, Segments: r.Segments, Elapsed: r.Elapsed,
		Settle: max(0, r.Elapsed-r.Transfer), SHA256: r.SHA256,
	}
	if r.Err != nil {
		v.Err = r.Err.Error()
	}
	k, _ := slices.BinarySearch(settleBuckets[:], v.Settle.Seconds())
	t.settling.Buckets[k]++
	t.settling.Seconds += v.Settle.Seconds()
	if len(t.verdicts) == 2*mostVerdicts {
		t.verdicts = append(make([]Verdict, 0, 2*mostVerdicts), t.verdicts[mostVerdicts:]...)
	}
	t.verdicts = append(t.verdicts, v)
}

// newest gives the verdicts that are kept, the oldest first.
func (t *tally) newest() []Verdict {
	return t.verdicts[max(0, len(t.verdicts)-mostVerdicts):len(t.verdicts):len(t.verdicts)]
}

// A Socket is one of the server's.
type Socket struct {
	Addr  netip.AddrPort
	Drops uint64 // datagrams that the kernel dropped, as the receive buffer was full
}

// A State is all that is told, as of one instant. Nothing in it changes.
type State struct {
	Now *server.Snapshot
	// Before is the one before, for rates; nil if there is none.
	Before   *server.Snapshot
	Verdicts []Verdict
	Outcomes [outcomes]uint64
	Settling Settling
	Loads    []Load   // of the receivers of Now
	Sockets  []Socket // the first mostSockets, and then all others as one without an address
}

// mostSockets is how many sockets are told apart.
const mostSockets = server.MostReceivers + 1

// publish makes the newest State. It is called in the loop's goroutine.
func (p *Page) publish(now time.Time) {
	before := p.last.Load()
	s := &State{
		Now: p.src.Server.Snapshot(now), Verdicts: p.tally.newest(),
		Outcomes: p.tally.outcomes, Settling: p.tally.settling,
	}
	s.Loads = make([]Load, len(s.Now.Receivers))
	copy(s.Loads, p.tally.loads)
	for i := range s.Loads {
		x, l := &s.Now.Receivers[i], &s.Loads[i]
		l.Bytes += x.Bytes
		l.Segments += x.Segments
		l.Duplicates += x.Duplicates
	}
	for i, k := range p.src.Sockets {
		if i <= mostSockets {
			s.Sockets = append(s.Sockets, Socket{})
		}
		x := &s.Sockets[min(i, mostSockets)]
		x.Drops += k.Stats().Drops
		if i < mostSockets {
			x.Addr = k.LocalAddr()
		}
	}
	if before != nil {
		s.Before = before.Now
		s.rise(before)
	}
	p.last.Store(s)
}

// rise sees to it that counters never fall: what a store failed to write is counted first and
// then taken back.
func (s *State) rise(before *State) {
	n, b := &s.Now.Stats, &before.Now.Stats
	n.Stored, n.Bytes = max(n.Stored, b.Stored), max(n.Bytes, b.Bytes)
	for i := range s.Loads {
		l, b := &s.Loads[i], &before.Loads[i]
		l.Bytes, l.Segments = max(l.Bytes, b.Bytes), max(l.Segments, b.Segments)
		l.Duplicates = max(l.Duplicates, b.Duplicates)
	}
}

// A storing is a store that tells what it holds, as a [server.Dir] does.
type storing interface {
	Usage() server.Usage
	Disk() (free, all int64, err error)
}

// A disk is what is known of the store's disk. To ask it may block for ever, so one goroutine
// does, and nobody waits for it for long.
type disk struct {
	busy atomic.Bool
	last atomic.Pointer[room]
}

// A room is what a disk has, in bytes.
type room struct {
	free, all int64
	err       error
}

// diskPatience is how long who looks waits for the disk.
const diskPatience = 200 * time.Millisecond

// room gives what is known of the disk; nil if it has never answered.
func (d *disk) room(u storing) *room {
	if d.busy.CompareAndSwap(false, true) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			r := new(room)
			r.free, r.all, r.err = u.Disk()
			d.last.Store(r)
			d.busy.Store(false)
		}()
		late := time.NewTimer(diskPatience)
		defer late.Stop()
		select {
		case <-done:
		case <-late.C:
		}
	}
	return d.last.Load()
}
