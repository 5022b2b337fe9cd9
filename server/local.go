package server

import (
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// A Taker takes the segments of [Receivers] on the spot, in place of a ledger: theirs is a
// store that they write to by themselves.
type Taker interface {
	// Take takes segment m, which came to receiver i; m is valid during the call alone. It
	// gives the flow of its transaction where it is to be acknowledged, known if it was
	// there before, and nil where it is not. With a NUM it is safe from the next Burst on,
	// and else at once.
	Take(now time.Time, e *loop.Envelope, i int, m *wire.Message) (f *Flow, known bool)
	// Burst makes safe what was taken. What it fails to makes its flow doubtful, see
	// [Flow.Doubt].
	Burst(now time.Time)
}

// A Flow is what [Receivers] know of a transaction whose segments a [Taker] takes.
type Flow struct{ flow }

// NewFlow makes that of an extended transaction, or of a base one, whose acknowledgements end
// at limit, and so many receivers that take its segments.
func NewFlow(tid int64, limit time.Time, receivers int, extended bool) *Flow {
	f := &Flow{flow{tid: tid, limit: limit}}
	if extended {
		f.arrived = make([]arrivals, receivers)
	}
	return f
}

// Doubt has nothing more of it acknowledged.
func (f *Flow) Doubt() { f.doubt, f.limit = true, time.Time{} }

// NewLocalReceivers makes Receivers whose segments are taken on the spot. They have nothing
// to wait for: Next gives an instant far away. It fails as [New] does.
func NewLocalReceivers(addrs []Receiver, t Taker) (*Receivers, error) {
	s := new(Receivers)
	if err := s.init(addrs, local{t}, new(Stats)); err != nil {
		return nil, err
	}
	return s, nil
}

// local is a Taker as the receivers see their ledger.
type local struct{ Taker }

func (l local) put(now time.Time, e *loop.Envelope, i int, m *wire.Message) (*flow, answer) {
	f, again := l.Take(now, e, i, m)
	switch {
	case f == nil:
		return nil, refused
	case again:
		return &f.flow, known
	}
	return &f.flow, taken
}

func (l local) burst(now time.Time) { l.Burst(now) }
