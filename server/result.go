package server

import (
	"crypto/sha256"
	"net/netip"
	"time"

	"mdalp/sched"
	"mdalp/wire"
)

// The comments of verdicts. The first, third and fourth are the original servers'
// own words; they have none for a payload that is balanced but incomplete.
const (
	Completed                = "Transaction completed!"
	Incomplete               = "Transaction failed! Incomplete data!"
	Unbalanced               = "Transaction failed! Complete data but load balancing violation!"
	UnbalancedAndPartial     = "Transaction failed! Load balancing violation and incomplete data!"
	maxMissing           int = 1024
)

// A Result is how a transaction settled.
type Result struct {
	TID     int64
	Client  netip.AddrPort
	Status  bool   // complete and balanced
	Comment string // one of the four texts

	// Complete says that the expected payload is there; where none is known, that
	// nothing is missing up to the highest SEQ seen.
	Complete bool
	// Balanced says that every receiver took at least the minimum share of Bytes,
	// as sched.MinShare has it.
	Balanced bool

	Bytes     int64 // payload stored
	Segments  int64 // segments stored
	Receivers []Share
	// Missing is what is not stored up to the highest SEQ seen, the first 1,024
	// ranges of it.
	Missing []wire.Range

	// SHA256 is of the payload where it was put together, else zero.
	SHA256 [sha256.Size]byte
	// Path is the file of the payload; empty when there is none.
	Path string
	// Kept is where the segments are that were not put together; empty when there are
	// none.
	Kept string
	// Cut says that the server was closed while the transaction was open. The next
	// server on the same store goes on with it, and gives another verdict.
	Cut bool
	// Recovered says that it began in a former process.
	Recovered bool
	// Extended says that it was one of the extended protocol, and Name is what its client
	// calls the payload.
	Extended bool
	Name     string
	// Key is the name of the key that it was sealed with; empty in the clear.
	Key string
	// Unkept says that there is no store: the payload was received, and neither kept nor
	// its digest checked.
	Unkept bool

	// Elapsed runs from the offer to the verdict, Transfer to the last segment that
	// was stored.
	Elapsed, Transfer time.Duration
	// Err is the first error of the store in this transaction. A transaction whose
	// refused segment was stored after all may still be complete.
	Err error
}

// rate is how fast the payload came, in bytes a second, from the offer to the last segment.
func (r *Result) rate() int64 {
	if r.Transfer <= 0 {
		return 0
	}
	return int64(float64(r.Bytes) / r.Transfer.Seconds())
}

// A Share is what one receiver took in a transaction.
type Share struct {
	Receiver   Receiver
	Bytes      int64 // of the segments it was the first to store
	Segments   int64
	Duplicates int64 // segments that came to it and were stored already
}

// balanced is the original servers' rule.
func balanced(shares []Share, bytes int64) bool {
	least := sched.MinShare(bytes, len(shares))
	for i := range shares {
		if shares[i].Bytes < least {
			return false
		}
	}
	return true
}

func comment(complete, balanced bool) string {
	switch {
	case complete && balanced:
		return Completed
	case complete:
		return Unbalanced
	case balanced:
		return Incomplete
	default:
		return UnbalancedAndPartial
	}
}
