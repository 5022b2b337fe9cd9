package nats

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
)

var errUnreached = errors.New("none of its servers can be reached")

// away makes an error one of an engine that does not answer.
func (e *Engine) away(err error) error {
	e.stats.away.Add(1)
	if err == nil {
		return engine.ErrAway
	}
	if errors.Is(err, engine.ErrAway) {
		return err
	}
	if !e.conn.IsConnected() {
		err = errUnreached
		// What a server has said, as that it lets nobody in, and not that nothing can be sent.
		if last := e.conn.LastError(); last != nil && !errors.Is(last, client.ErrReconnectBufExceeded) {
			err = fmt.Errorf("%w (%w)", err, last)
		}
	}
	return fmt.Errorf("%w: %w", engine.ErrAway, err)
}

// wrongRevision reports whether a write was refused because of what is there. Streams with
// replicas have an error code of their own for it.
func wrongRevision(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) ||
		errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
			api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// storeFailed is the error code of what a stream could not store, JSStreamStoreFailedF of the
// server: by its bounds, among others.
const storeFailed = 10077

// lasting reports whether to try again is of no use: the engine has said no, for a reason
// that a person has to take away.
func lasting(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		// 503 is one who has no leader, or who is full, which has no code of its own.
		return api.Code < 500 || api.ErrorCode == storeFailed && strings.HasPrefix(api.Description, "maximum")
	}
	for _, e := range []error{client.ErrConnectionClosed, client.ErrMaxPayload, jetstream.ErrInvalidKey,
		client.ErrPermissionViolation, client.ErrAuthorization} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// counters are those of [Stats].
type counters struct {
	writes, settled, reads, syncs, says, asks, away, conflicts, repeats, reconnects atomic.Uint64
}

// Stats are counters of one engine, since it was dialled.
type Stats struct {
	Writes     uint64 // records written into the ledger
	Settled    uint64 // records published into the stream
	Reads      uint64 // records asked for by number
	Syncs      uint64 // small writes that make sure that a read is not of old
	Says       uint64 // of this party, that it is there
	Asks       uint64 // questions to receivers
	Away       uint64 // calls that failed since the engine did not answer
	Conflicts  uint64 // writes that came behind another's
	Repeats    uint64 // writes whose outcome was not told, and which were tried again
	Reconnects uint64
	Connected  bool   // there is a connection now,
	Ready      bool   // and all buckets were there
	Server     string // the one that it goes to
}

// Stats gives the counters.
func (e *Engine) Stats() Stats {
	c := &e.stats
	s := Stats{
		Writes: c.writes.Load(), Settled: c.settled.Load(), Reads: c.reads.Load(), Syncs: c.syncs.Load(),
		Says: c.says.Load(), Asks: c.asks.Load(), Away: c.away.Load(), Conflicts: c.conflicts.Load(),
		Repeats: c.repeats.Load(), Reconnects: c.reconnects.Load(),
		Connected: e.conn.IsConnected(), Server: e.conn.ConnectedUrlRedacted(),
	}
	select {
	case <-e.set:
		s.Ready = true
	default:
	}
	return s
}
