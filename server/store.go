package server

import (
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"iter"
	"net/netip"
	"time"

	"mdalp/wire"
)

// ErrFull is the error of a store that has reached its own bound, or that would have
// no room left to put together what it has taken in.
var ErrFull = errors.New("store is full")

// ErrEmpty is the error of a payload without a byte: nothing empty is stored.
var ErrEmpty = errors.New("nothing to store")

// A Meta is what a store remembers of a transaction beside its segments.
type Meta struct {
	TID     int64
	Segment int            // most bytes that a segment has
	Client  netip.AddrPort // where the intent came from
	Offered time.Time      // wall clock: when its offer was first sent
	Name    string         // what its client calls an extended payload; for people
	Key     Identity       // of its client; an extended payload may be resumed by it alone
}

// A Store keeps the bytes of transactions and puts payloads together. What is stored
// is known by the server, which alone asks for it. Its methods are called from the
// server's one goroutine.
type Store interface {
	// Recover gives what former processes left, by rising TID. It is called once,
	// before the first Create. With an error nothing was recovered.
	Recover() ([]Recovered, error)
	// Create makes place for transaction tid, whose segments have at most segment
	// bytes each. Nothing is written before the first Put. It fails with fs.ErrExist
	// when there is anything of that number already; the server then takes another.
	Create(tid int64, segment int) (Spool, error)
	// Room is about how many bytes of payload may still be taken in; negative means
	// that there is no bound. It is cheap enough for each intent.
	Room() int64
}

// A Recovered is one transaction that a former process left.
type Recovered struct {
	Meta
	// Path is its file.
	Path string
	// Silent is how long ago its last segment was stored; 0 also where that is not known. It is not
	// an instant, as the clock that stamps files may be another than this process's.
	Silent  time.Duration
	written time.Time // by that clock
	// Err says why the file could not be read; it then stays as it is, Spool and
	// Segments are nil, and Meta has a TID alone. To begin a transaction of that
	// number, see Create, is refused as long as it is there.
	Err error
	// Judged says that the transaction had its verdict and was kept, see [Judger]. Nothing
	// need be read of it.
	Judged bool
	// High is one more than the highest SEQ that was noted, see [Spool].Note; 0 is none.
	High int64
	// Spool goes on where the former process was. It must be published, kept or
	// discarded.
	Spool Spool
	// Segments reads all that is stored and intact, by rising SEQ. It is ranged over
	// once, before anything else is asked of Spool. With an error it ends: what comes
	// behind cannot be read, and the spool had better be kept.
	Segments iter.Seq2[Record, error]
	// Place is not nil for an extended payload of Size bytes, of which the segments Have
	// are there; there are no Segments then. It must be published, kept or discarded, and
	// Spool is for the case that its client speaks the base protocol after all.
	Place Place
	Size  int64
	Have  []wire.Range
}

// A Record is a stored segment.
type Record struct {
	Seq      int64
	Sum      uint32 // see Sum
	Length   uint16 // of the data, in bytes
	Receiver uint16 // index of the receiver that it came to
}

// A Spool takes the segments of one transaction.
//
// A payload is the concatenation of its segments in SEQ order: the last segment
// of a receiver's range may be short, so SEQ times the segment size is no offset.
type Spool interface {
	// Begin says what of the transaction outlives the process. It is called before the
	// first Put, writes nothing, and cannot fail.
	Begin(m Meta)
	// Note remembers, as well as it can, that segment seq came and was not stored: as
	// long as it is not, what is there is not the whole, however it looks to the next
	// process. It is called as Put is, for a seq above all that were put or noted.
	Note(seq int64)
	// Put stores segment seq of 1 to segment bytes that came to the receiver of that
	// index; sum is its Sum. When it returns without an error, the death of the process
	// cannot take the segment any more, and there is room for its second copy. After an
	// error seq is not stored, and may be put again. It may be called while Assemble
	// runs for other segments, never while Publish, Keep or Discard does, nor after.
	Put(seq int64, receiver int, data []byte, sum uint32) error

	// The following may block. They are called beside the server's goroutine, one at a
	// time for a spool. After an error everything that was put is still there, and the
	// call may be tried again.

	// Assemble puts segments have together, rising ranges that were all put, flushed
	// and under no final name yet, and returns the hash. It may be called again.
	Assemble(have []wire.Range) (sum [sha256.Size]byte, err error)
	// Publish gives what was assembled last its name for good, never in another's
	// place, and then frees the spool. It fails with fs.ErrExist when the name is
	// taken. The name of a partial payload differs from that of a whole one; the path
	// is empty when the store has no files. A path that comes with an error names a
	// payload that is in its place, only not known to survive a loss of power.
	Publish(partial bool) (path string, err error)
	// Discard frees everything. It is only for what was never acknowledged.
	Discard()
	// Keep closes the spool and leaves its segments to an operator, to Recover of the
	// next process, or to a retention. The path is empty when nothing is kept.
	Keep() (path string)
}

// A Judger is a [Spool] that remembers that its transaction has had its verdict, so that
// the next process does not give it once more.
type Judger interface {
	// Judged is called before Keep, as Keep is.
	Judged()
}

// castagnoli is the table of CRC-32C. It is made by the first call: as a variable it would
// take a third of the time in which the client starts, which has this package for its lab.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Sum is the fingerprint of a segment's data: CRC-32C (RFC 3720, 12.1).
func Sum(data []byte) uint32 { return crc32.Checksum(data, castagnoli()) }
