// Package engine is what a fleet needs of the system that its parts agree by: a ledger of
// transactions, a registry of who is there, mail between the parts, and a stream of what has
// settled. Payloads never go there, nor which segments of one have come.
//
// Any method may block until its context is done, may be called from any goroutine, and is
// called beside the loops. Whoever implements it keeps to one rule: without an error, what
// was written is at a quorum, and stays.
package engine

import (
	"context"
	"errors"
	"time"
)

// What a call fails with. Anything else is like ErrAway, and is told to people.
var (
	// ErrExists: a record of that number is there.
	ErrExists = errors.New("engine: it is there already")
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("engine: it is not there")
	// ErrConflict: the record has another revision than the one that was read.
	ErrConflict = errors.New("engine: somebody else has written it")
	// ErrAway: no quorum answered in time. What was to be written may be written all the
	// same, now or a little later: whoever repeats it has to look.
	ErrAway = errors.New("engine: it does not answer")
	// ErrNoAnswer: the party that was asked does not answer, or is not there.
	ErrNoAnswer = errors.New("engine: no answer")
	// ErrRecord: there is a record, and it is none that any release has written.
	ErrRecord = errors.New("engine: there is no sense in the record")
)

// An Engine is all that a fleet needs.
type Engine interface {
	Ledger
	Registry
	Mail
	Settled
}

// A Ledger keeps one [Record] for each transaction, each with a revision that rises with
// every write. Who reads may be told of an older state, if that was ever true: whatever
// matters is decided by a write that names the revision.
type Ledger interface {
	// Create writes a record of a number that has none. It fails with ErrExists.
	Create(ctx context.Context, r *Record) (revision uint64, err error)
	// Get reads one. It fails with ErrNotFound; no record that Create gave a revision of
	// before the call is ever not found, until it is forgotten.
	Get(ctx context.Context, tid int64) (r *Record, revision uint64, err error)
	// Update writes a record in place of the one with that revision, and fails with
	// ErrConflict where that is not the newest.
	Update(ctx context.Context, r *Record, revision uint64) (next uint64, err error)
	// Unsettled gives the records whose state is not an end, see [State], in no order. It
	// may leave out what is being written.
	Unsettled(ctx context.Context) ([]Entry, error)
}

// An Entry is a record with its revision.
type Entry struct {
	Record   *Record
	Revision uint64
}

// Keep is how long at least a record stays after it was written last: longer than any client
// asks for the verdict or resumes.
const Keep = 24 * time.Hour

// A Registry tells who is there.
type Registry interface {
	// Say says that a party is there, for Lives from now on, by the clocks of those who are told: an
	// engine's own may be set, or another server's when that takes the lead.
	Say(ctx context.Context, p *Party) error
	// Leave says that it is not any more.
	Leave(ctx context.Context, p *Party) error
	// Living gives those who are there, by rising ID, as far as is known. It may be a view that is
	// kept up to date, and fails with ErrAway when that is not known to be so.
	Living(ctx context.Context) ([]Party, error)
	// Said gives what a receiver has said last, and the revision of that, which is another one when it
	// says so again; nil where the engine has nothing, as after Lives, or it has left. Who asks for one
	// is told of no others. It fails with ErrAway.
	Said(ctx context.Context, receiver string) (p *Party, revision uint64, err error)
	// Gone reports whether a receiver is sure to be there no more: it has left, or said nothing for
	// Lives before the call. Who has just come is sure of that after Lives alone. It fails with ErrAway.
	Gone(ctx context.Context, receiver string) (bool, error)
	// Token gives the token of the fleet's directory, and makes it mine when there is none.
	Token(ctx context.Context, mine string) (fleets string, err error)
}

const (
	// SayEvery is how often a party says that it is there,
	SayEvery = 3 * time.Second
	// and Lives is after how long without it is gone.
	Lives = 10 * time.Second
)

// Mail goes between the parts of a fleet: a question and its answer, kept by nobody.
type Mail interface {
	// Ask asks receivers, all at once, and gives an answer for each, in their order. One
	// that does not answer has ErrNoAnswer in its place. It comes back when all have
	// answered, are known not to be there, or ctx is done, which is no error.
	Ask(ctx context.Context, a *Ask, receivers []string) []Answer
	// Serve has questions to a receiver handed to f until ctx is done. f must not block;
	// answer may be called later, once, from any goroutine.
	Serve(ctx context.Context, receiver string, f func(a Ask, answer func(Answer))) error
}

// Settled is the stream of what has settled, for those who take the payloads on.
type Settled interface {
	// Publish puts a record at the end of the stream. Its message ID is the transaction's
	// number: the same record may be published twice, and should then be there once.
	Publish(ctx context.Context, r *Record) error
}
