package engine

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"mdalp/wire"
)

// A State is how far a transaction has come.
type State string

// The states. A transaction goes from Created over Open and Settling to Complete; from any
// of the first three it may end as Damaged, Kept or Void.
const (
	Created  State = "created"  // it is offered, or about to be
	Open     State = "open"     // its extended payload was announced, and has a place
	Settling State = "settling" // all of it is there, and is being checked and published
	Complete State = "complete" // it has its name, on stable storage
	Damaged  State = "damaged"  // the digest differed; nothing is kept
	Kept     State = "kept"     // it is incomplete, and what came may be resumed
	Void     State = "void"     // nothing is there: none came, or another resumed it
)

// Ended reports whether nothing more happens to a transaction in that state.
func (s State) Ended() bool { return s != Created && s != Open && s != Settling }

// A Record is what a ledger has of one transaction. It is small, whatever the payload.
type Record struct {
	TID   int64 `json:"tid,string"`
	State State `json:"state"`
	// Owner is the orchestrator that answers for it, see [Party].ID, and Epoch counts its
	// owners from 1.
	Owner string `json:"owner"`
	Epoch uint64 `json:"epoch"`
	// Client is where the intent came from. Offered is when its offer was first sent, by
	// its orchestrator's clock: for people, and never compared with another clock's.
	Client  netip.AddrPort `json:"client"`
	Offered time.Time      `json:"offered"`
	// Receivers were offered, and are the same to the end.
	Receivers []Station `json:"receivers"`

	// Of an extended payload, from Open on: bytes, bytes of a segment, and what its client
	// calls it.
	Bytes   int64  `json:"bytes,omitempty"`
	Segment int64  `json:"segment,omitempty"`
	Name    string `json:"name,omitempty"`
	// File is the name of its file in the directory, with which it is settled: TID-NAME from Open
	// on where clients give names, and else TID.bin, when it is complete. Nothing else is followed.
	File string `json:"file,omitempty"`
	// Base says, of one that has settled, that it was of the base protocol.
	Base bool `json:"base,omitempty"`
	// Key and Print are of a sealed transaction: what its client's key is called, and what
	// tells that key from others, in hexadecimal digits. A receiver's keys are in its Station.
	Key   string `json:"key,omitempty"`
	Print string `json:"print,omitempty"`
	// Resumed is the transaction whose segments it took over; 0 is none.
	Resumed int64 `json:"resumed,omitempty,string"`

	// When it has settled: its digest in hexadecimal digits, and what is to be said to its client.
	SHA256  string `json:"sha256,omitempty"`
	Comment string `json:"comment,omitempty"`

	// Write is for an engine that tells one write of a record from another of the same by it.
	// Nobody else sets it, or is given it.
	Write string `json:"write,omitempty"`
}

// A Station is a receiver as a transaction has it.
type Station struct {
	ID   string         `json:"id"`
	Addr netip.AddrPort `json:"addr"` // as it is offered
	// Seg and Win are those of the offer.
	Seg int `json:"seg"`
	Win int `json:"win"`
	// Seal is what opens and seals at this receiver, in a sealed transaction: for nobody but
	// the parts of the fleet.
	Seal string `json:"seal,omitempty"`
}

// Sealed reports whether a transaction is sealed.
func (r *Record) Sealed() bool { return r.Print != "" }

// Marshal writes a record as JSON.
func (r *Record) Marshal() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // no field can fail
	}
	return b
}

// ParseRecord is the opposite of Marshal. It takes keys that it does not know for those of a
// newer release. What it gives has passed [Record.Check]; all else is ErrRecord.
func ParseRecord(b []byte) (*Record, error) {
	r, err := new(Record), error(nil)
	if len(b) > MostRecord {
		err = fmt.Errorf("it has %d bytes, and %d are the most", len(b), MostRecord)
	} else if err = json.Unmarshal(b, r); err == nil {
		err = r.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}

// ParseParty reads a party as JSON has it. What it gives has passed [Party.Check].
func ParseParty(b []byte) (*Party, error) {
	p := new(Party)
	err := json.Unmarshal(b, p)
	if err == nil {
		err = p.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("engine: a party: %w", err)
	}
	return p, nil
}

// A Role is what a party does.
type Role string

// The roles.
const (
	Orchestrator Role = "orchestrator"
	Receiver     Role = "receiver"
)

// A Party is an orchestrator or a receiver that is there.
type Party struct {
	Role Role `json:"role"`
	// ID names it. A receiver's is the same after its next start, as its journals have it
	// in their names: letters, digits, dashes and underscores, at most 64. An
	// orchestrator's is another at every start.
	ID string `json:"id"`
	// Addr is where clients reach it.
	Addr netip.AddrPort `json:"addr"`
	Zone string         `json:"zone,omitempty"`
	// Token is that of the directory that it has.
	Token string `json:"token"`
	// Seg and Win are the most bytes of a segment, and the most segments, that it takes.
	Seg int `json:"seg,omitempty"`
	Win int `json:"win,omitempty"`
	// Free is how many bytes its directory has room for; negative is no bound.
	Free int64 `json:"free"`
	// Open is how many transactions it has segments of, or answers for.
	Open int `json:"open"`
	// Draining says that it takes no new transactions.
	Draining bool `json:"draining,omitempty"`
	// Name is told to clients, for people.
	Name string `json:"name,omitempty"`
	// Start tells one start of a receiver from all others, also of another that was given its ID;
	// empty where nobody looks for that.
	Start string `json:"start,omitempty"`
	// Seal says that a receiver takes sealed transactions, and for which start of it their keys
	// are to be sealed.
	Seal string `json:"seal,omitempty"`
}

// An Ask is what an orchestrator asks receivers about one transaction.
type Ask struct {
	TID int64 `json:"tid,string"`
	// Flush has them flush first, so that what they tell survives a loss of power.
	Flush bool `json:"flush,omitempty"`
	// Close has them take no more of it.
	Close bool `json:"close,omitempty"`
	// Epoch is that of the record, and Turn counts the questions of its owner. What comes
	// behind a later one is from an owner that is none any more, or was late, and changes
	// nothing.
	Epoch uint64 `json:"epoch"`
	Turn  int64  `json:"turn"`
	// File is which file has the name of an extended payload on its way, as the directory tells
	// them apart; 0 where none has. A receiver that has another one open lets go of it: it was
	// moved to another transaction.
	File uint64 `json:"file,string,omitempty"`
}

// Before reports whether a question was put before another about the same transaction.
func (a *Ask) Before(b *Ask) bool {
	return a.Epoch < b.Epoch || a.Epoch == b.Epoch && a.Turn < b.Turn
}

// An Answer is what a receiver says to it.
type Answer struct {
	// Have is which segments it has: of an extended payload that are at their place, of a
	// base one that are in its spool.
	Have []wire.Range `json:"have,omitempty"`
	// Idle is how long ago the last new one came, by its own clock; less than 0 when it
	// does not know.
	Idle time.Duration `json:"idle"`
	// Bytes is how many bytes of the base protocol Have stands for. Over says that one
	// came that could not be stored, so that what is there is not the whole, and High is
	// one more than the highest SEQ that came.
	Bytes int64 `json:"bytes,omitempty"`
	Over  bool  `json:"over,omitempty"`
	High  int64 `json:"high,omitempty"`
	// File is the one that an extended payload's segments are in.
	File uint64 `json:"file,string,omitempty"`
	// Problem says why it cannot tell; empty when it can.
	Problem string `json:"problem,omitempty"`
	// Err is not sent: ErrNoAnswer, or nil.
	Err error `json:"-"`
}
