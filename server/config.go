package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// Port is the protocol's port of receivers. Another one is told in the offer.
const Port = 4650

// What a field of Config means when it is 0.
const (
	DefaultLimit        = 90 * time.Second // as the original servers
	DefaultIdle         = 10 * time.Second // three tries of a client with a fixed 3 s timer
	DefaultConcurrent   = 64
	DefaultQueue        = 1024
	DefaultRemember     = 16384
	DefaultSegmentLimit = 100 // the protocol's
	DefaultMaxBytes     = 1 << 30
	DefaultIntentRate   = 10 // per second
	DefaultIntentBurst  = 20
	DefaultUnused       = 5 * time.Second
	DefaultKeep         = 24 * time.Hour
	DefaultOfferRate    = 256 << 10 // bytes per second, but no more than DefaultOffers have
	DefaultOffers       = 1000
	DefaultRoomPerOffer = 64 << 10 // bytes
	DefaultMaxOpen      = 4096
	DefaultSilence      = 30 * time.Second
	// DefaultSegment fits into the frames of fast local networks, and eight of them into
	// one message to the kernel.
	DefaultSegment = 8192
)

// MostBytes is the largest [Config.MaxBytes]: offsets in a spool file stay far below
// 2^63.
const MostBytes = 1 << 46

const (
	// maxSegment leaves room in a datagram for "Type:2;TID:…;SEQ:…;DATA:".
	maxSegment = wire.MaxDatagram - 64
	// original is how much of an offer the original client reads.
	original = 1024
)

// A Receiver is an address that takes segments.
type Receiver struct {
	// Addr is told in the offer, and is the local address that segments come to.
	Addr netip.AddrPort
	// Name is told in the offer; may be empty.
	Name string
	// Sock is the index of its socket. It only matters where a socket does not tell
	// the local address of its datagrams: a segment is then taken by the first
	// receiver with that socket, and that port where it is known.
	Sock int
}

// A Payload is what a transaction is expected to bring.
type Payload struct {
	Size   int64 // bytes
	SHA256 [sha256.Size]byte
}

// A Config sets up a Server. Only Receivers must be given.
type Config struct {
	// Receivers are offered to every client, in this order.
	Receivers []Receiver
	// Limit is how long a transaction may take from its offer on; 0 is DefaultLimit.
	Limit time.Duration
	// Idle is how long a transaction of unknown length must have been whole and
	// silent to be complete; 0 is DefaultIdle. Only that silence tells the end of a
	// payload that is not expected. What is not silent for so long at Limit is not
	// complete.
	Idle time.Duration
	// Concurrent is how many transactions may hold a place: they were offered and are
	// not settled, neither silent for long nor whole and silent. 0 is
	// DefaultConcurrent. Late first segments may take it to twice that.
	Concurrent int
	// SourceConcurrent is how many places one source may hold, an IPv4 address or an
	// IPv6 /64; 0 is a quarter of Concurrent, and at least 8.
	SourceConcurrent int
	// MaxOpen is how many transactions may have segments and not be settled, whether
	// they hold a place or not; 0 is DefaultMaxOpen. A [Dir] has a descriptor open for
	// each, and two for one of the extended protocol, see [Server.MaxOpen].
	MaxOpen int
	// Unused is how long a transaction holds its place while others wait and no segment
	// comes; 0 is DefaultUnused. Without any it is less when many wait, down to a fortieth.
	Unused time.Duration
	// Queue is how many intents may wait for a place; 0 is DefaultQueue, less is none.
	// When it is full, the source with the most of them gives one up for a source that
	// has fewer. Those who have shown where they are have as long a queue of their own.
	Queue int
	// Remember is how many settled transactions are remembered until their Limit;
	// 0 is DefaultRemember, less is none.
	Remember int
	// SegmentLimit is the most payload a segment may carry, in bytes; 0 is
	// DefaultSegmentLimit.
	SegmentLimit int
	// MaxBytes is the most payload a transaction may bring; 0 is DefaultMaxBytes.
	MaxBytes int64
	// OfferDelay holds every transaction's offer back, as the original's queue does.
	// An offer that is repeated is not held back again.
	OfferDelay time.Duration
	// Expect is the payload that every transaction must bring; nil when unknown.
	Expect *Payload
	// Store keeps the payloads; nil is a Memory of its own, and for extended payloads
	// nothing: they are counted, and their digests believed. A Store that is no [Placer]
	// has the base protocol offered alone.
	Store Store
	// Fleet is what an [Orchestrator] is part of whose receivers are programs elsewhere that
	// come and go; nil is none. Receivers and Expect are empty then, and Beside is not.
	Fleet Fleet
	// Beside runs what may block, as a flush does, outside the loop; nil has it run in
	// place, at the end of the call that needs it.
	Beside loop.Beside
	// KeepPartial has an incomplete transaction's segments published too, as
	// <TID>.partial: all that came, in order, without the missing ones. Else they stay
	// in the store as they are, see [Spool.Keep].
	KeepPartial bool
	// Keep is how long a store that can tell, see [Sweeper], keeps what came of
	// incomplete payloads; 0 is DefaultKeep, less is for ever. KeepBytes is how many
	// bytes of them; the oldest go first. 0 is no bound.
	Keep      time.Duration
	KeepBytes int64
	// IntentRate is how many offers a second one source may draw in the long run that nobody
	// follows up, IntentBurst how many at once; 0 is the default, a negative rate is no limit.
	// New clients beyond it wait. Those of a source that has a quarter of MaxOpen open count
	// in any case.
	IntentRate  float64
	IntentBurst int
	// OfferRate is how many bytes of offers a second all sources together may draw, and
	// as many at once, but four offers at least. 0 is what DefaultOffers offers have, and
	// DefaultOfferRate at most; less is no limit. Half of what may go at once is for new
	// clients alone. Under load, which is when more than half of that is used up or a client
	// waits, half of the rate is for those who have shown by a cookie where they are.
	OfferRate int64
	// RoomPerOffer is how many bytes the store must have room for when an intent is
	// answered; 0 is DefaultRoomPerOffer, less asks for nothing.
	RoomPerOffer int64
	// SourceBytes is the most payload that one source may have in transactions that
	// are not settled; 0 is no bound.
	SourceBytes int64
	// BindClients takes segments from the IP address alone that the intent came from.
	BindClients bool
	// FirstTID makes the numbers of transactions count up from it. 0 makes them
	// random, because a TID is all that it takes to put segments into another's
	// transaction.
	FirstTID int64
	// Seed is what random numbers come from. A Server that strangers can reach needs
	// one that they cannot know.
	Seed [32]byte
	// Once ends the program after the first settled transaction.
	Once bool
	// Log gets one record for each settled transaction, and errors of the store; nil
	// is none.
	Log *slog.Logger
	// Settled is called for each verdict; it must not call the Server.
	Settled func(Result)

	// Base offers the base protocol alone. Without it the extended one is offered too.
	Base bool
	// Segment is the most bytes that a receiver takes in one extended segment, 100 to
	// 65,000; 0 is DefaultSegment.
	Segment int
	// Window is the most segments that a receiver takes before it has acknowledged them, 1
	// to 1,048,576; 0 is what its receive buffer holds.
	Window int
	// Buffers are the receive buffers of the sockets, in bytes as the kernel counts them
	// (socket(7), SO_RCVBUF); one that is not told is taken for the kernel's default.
	Buffers []int
	// Silence is how long an extended transaction may be silent; 0 is DefaultSilence.
	Silence time.Duration

	bounded bool // MaxBytes was given
	sinks   bool // no Store was
}

// withDefaults fills in what is 0 and checks the rest.
func (c Config) withDefaults() (Config, error) {
	c.bounded = c.MaxBytes != 0
	def(&c.Segment, DefaultSegment)
	def(&c.Silence, DefaultSilence)
	def(&c.Limit, DefaultLimit)
	def(&c.Idle, DefaultIdle)
	def(&c.Unused, DefaultUnused)
	def(&c.Keep, DefaultKeep)
	def(&c.Concurrent, DefaultConcurrent)
	def(&c.SourceConcurrent, max(8, c.Concurrent/4))
	def(&c.MaxOpen, DefaultMaxOpen)
	def(&c.RoomPerOffer, DefaultRoomPerOffer)
	def(&c.Queue, DefaultQueue)
	def(&c.Remember, DefaultRemember)
	def(&c.SegmentLimit, DefaultSegmentLimit)
	def(&c.MaxBytes, DefaultMaxBytes)
	def(&c.IntentRate, DefaultIntentRate)
	def(&c.IntentBurst, DefaultIntentBurst)
	c.Queue = max(0, c.Queue)
	c.Remember = max(0, c.Remember)
	if c.sinks = c.Store == nil; c.sinks {
		c.Store = new(Memory)
	}
	if _, ok := c.Store.(Placer); !ok { // what it cannot keep is not offered
		c.Base = true
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Fleet != nil && (len(c.Receivers) > 0 || c.Expect != nil || c.sinks):
		return c, errors.New("server: a fleet has receivers and a store of its own, and expects no payload")
	case c.Limit < 0, c.Idle < 0, c.OfferDelay < 0, c.Unused < 0:
		return c, errors.New("server: a duration is negative")
	case c.Concurrent < 0, c.SourceConcurrent < 0, c.MaxOpen < 0, c.IntentBurst < 0,
		c.MaxBytes < 0, c.SourceBytes < 0, c.FirstTID < 0:
		return c, errors.New("server: a number is negative")
	case c.MaxBytes > MostBytes:
		return c, fmt.Errorf("server: more than %d bytes a transaction", int64(MostBytes))
	case c.Silence < 0:
		return c, errors.New("server: a duration is negative")
	case c.Segment < wire.MinSegment || c.Segment > wire.MaxSegment:
		return c, fmt.Errorf("server: extended segments of %d bytes: %d to %d are possible",
			c.Segment, wire.MinSegment, wire.MaxSegment)
	case c.Window < 0 || c.Window > wire.MaxWindow:
		return c, fmt.Errorf("server: a window of %d segments: %d are the most", c.Window, wire.MaxWindow)
	case c.SegmentLimit < 0 || c.SegmentLimit > maxSegment:
		return c, fmt.Errorf("server: segments of %d bytes: 1 to %d are possible", c.SegmentLimit, maxSegment)
	}
	return c, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
