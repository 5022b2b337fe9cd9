package server

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"mdalp/wire"
)

// ErrDamaged is the error of a payload whose digest is not the one that was announced.
var ErrDamaged = errors.New("the digest differs")

// A SizesError is the error of a payload that is to be resumed with other sizes than those
// of what is held.
type SizesError struct{ Bytes, Segment int64 }

// Error says what is held.
func (e *SizesError) Error() string {
	return fmt.Sprintf("what is held has %d bytes, in segments of %d", e.Bytes, e.Segment)
}

// A Placer is a [Store] that takes extended payloads, whose segments have a place each.
// One that is none takes payloads of the base protocol alone. Its methods may block, and are
// called beside the server's goroutine, several at a time.
type Placer interface {
	// Place makes room for a payload of size bytes of transaction m.TID, which has a Spool
	// that nothing was put into. It fails with [ErrFull], or as the disk does, when there is
	// no room for all of it.
	Place(m Meta, size int64) (Place, error)
	// Resume does the same, but moves to it what is held of transaction from, which is not
	// under way: have says what that is. Of a payload that is complete it is all, and that
	// payload stays. It fails with a [SizesError], and nothing changes, when that has
	// another size, or segments of another size. Of a transaction with another key than m's
	// nothing is held, and none is a key too.
	Resume(m Meta, from, size int64) (p Place, have []wire.Range, err error)
}

// A Place takes the bytes of one extended payload.
type Place interface {
	// Write puts b at off. It is called from the server's goroutine, with many segments at
	// once. After an error nothing is known of these bytes.
	Write(b []byte, off int64) error
	// Taken says that the segments of rs are written. When it returns without an error, the
	// death of the process cannot take them any more. It is called from the server's
	// goroutine, before they are acknowledged.
	Taken(rs []wire.Range) error

	// The following may block. They are called beside the server's goroutine, one at a time
	// for a place. Write and Taken may be called while Sync or Hash run, and not while or
	// after the others do.

	// Sync has the loss of power spare what was taken. After an error nobody knows what of
	// it was not flushed before, and the place can only be kept.
	Sync() error
	// Hash goes on with the digest up to prefix bytes, which are all written.
	Hash(prefix int64) error
	// Publish gives the whole payload its name: hashed, compared with want unless that is
	// nil, flushed, renamed, and the directory flushed. It fails with [ErrDamaged], and
	// then nothing is kept, or as Spool.Publish does, and may be tried again.
	Publish(want *[sha256.Size]byte) (sum [sha256.Size]byte, path string, err error)
	// Keep leaves what is there, have, to be resumed, to an operator or to a retention.
	Keep(have []wire.Range) (path string)
	// Discard frees everything. It is only for what nobody was told of.
	Discard()
}

// sink is a Place that keeps nothing, for a server without a store.
type sink struct{}

func (sink) Write([]byte, int64) error { return nil }
func (sink) Taken([]wire.Range) error  { return nil }
func (sink) Sync() error               { return nil }
func (sink) Hash(int64) error          { return nil }
func (sink) Keep([]wire.Range) string  { return "" }
func (sink) Discard()                  {}
func (sink) Publish(*[sha256.Size]byte) (sum [sha256.Size]byte, path string, err error) {
	return sum, "", nil
}
