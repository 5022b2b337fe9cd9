package server

import (
	"crypto/sha256"
	"errors"
)

// ErrFull is the error of a store that has reached its own bound.
var ErrFull = errors.New("store is full")

// A Store keeps the segments of transactions and puts payloads together. It is
// called from the server's one goroutine.
type Store interface {
	// Create makes place for transaction tid, whose segments have at most segment
	// bytes each. It fails with fs.ErrExist when there is a payload of that number
	// already; the server then takes another number.
	Create(tid int64, segment int) (Spool, error)
}

// A Spool takes the segments of one transaction.
//
// A payload is the concatenation of its segments in SEQ order: the last segment
// of a receiver's range may be short, so SEQ times the segment size is no offset.
type Spool interface {
	// Put stores segment seq of 1 to segment bytes. It returns true only when the
	// segment is now stored so that a full disk can no longer lose it, and false
	// without an error when seq was stored before: what came first stays. After an
	// error seq is not stored, and may be put again.
	Put(seq int64, data []byte) (stored bool, err error)
	// Index tells what is stored. It stays valid after Publish and Discard.
	Index() *Index
	// Assemble puts everything stored together, without a name, and returns its
	// hash. It may be called again when more has been stored.
	Assemble() (sum [sha256.Size]byte, err error)
	// Publish gives what was assembled last its name, at once and for good, and
	// frees all else. The name of a partial payload differs from that of a whole
	// one. The path is empty when the store has no files.
	Publish(partial bool) (path string, err error)
	// Discard frees everything.
	Discard()
}
