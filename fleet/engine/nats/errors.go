package nats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
)

var errUnreached = errors.New("none of its servers can be reached")

// away makes an error one of an engine that does not answer.
func (e *Engine) away(err error) error {
	e.stats.away.Add(1)
	connected := e.conn.IsConnected()
	denied := e.noted(&e.denied)
	switch {
	case !connected:
		err = e.unreachedBy()
	case denied != nil && (err == nil || errors.Is(err, context.DeadlineExceeded)):
		// A server drops what a user may not say, and whoever waits for the answer does so in vain.
		err = denied
	case err == nil:
		return engine.ErrAway
	}
	if errors.Is(err, engine.ErrAway) {
		return err
	}
	return fmt.Errorf("%w: %w", engine.ErrAway, err)
}

// unreachedBy says why there is no connection, as that a server lets this user not in. What the connection
// itself has as its last error is newer than what was told of a try: it has none behind a server that is
// not there. Of a certificate that it does not believe nothing else is told.
func (e *Engine) unreachedBy() error {
	if last := e.conn.LastError(); telling(last) {
		e.note(&e.unreached, last)
	}
	last := e.noted(&e.unreached)
	if last == nil {
		return errUnreached
	}
	return fmt.Errorf("%w (%w%s)", errUnreached, last, e.uncertified(last))
}

// uncertified says what may be wrong where a server hangs up: by TLS 1.3 it refuses who shows it no
// certificate when that takes the connection to be there already (RFC 8446, appendix E.1).
func (e *Engine) uncertified(err error) string {
	cut := errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) ||
		strings.Contains(err.Error(), "certificate required")
	if !cut || e.options.Cert != "" || e.options.CA == "" && !strings.Contains(e.options.URL, "tls://") {
		return ""
	}
	return "; it may want a certificate (--engine-cert, --engine-key)"
}

// telling reports whether an error says why there is no connection, and not only that there is none.
func telling(err error) bool {
	return err != nil && !errors.Is(err, client.ErrReconnectBufExceeded) &&
		!errors.Is(err, client.ErrNoServers)
}

// plainly leaves out what is another at each try, as the port that it was tried from.
func plainly(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil {
		return fmt.Errorf("%s: %w", op.Addr, op.Err)
	}
	return err
}

// advised adds to what the engine says what is to be done, where that is known.
func (e *Engine) advised(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, client.ErrNoResponders):
		return fmt.Errorf("%w; its servers have no JetStream, or most of them are away", err)
	case full(err):
		return fmt.Errorf("%w; give stream KV_%s more room, as with 'nats stream edit', or wait until its"+
			" records have aged", err, e.ledgerName())
	case errors.As(err, &api) && (slices.Contains(noRoom, api.ErrorCode) ||
		strings.Contains(api.Description, "insufficient")): // no peers, for that reason
		return fmt.Errorf("%w; what servers and account may store has to have room for --ledger-bytes,"+
			" --settled-bytes and some MiB more", err)
	case errors.As(err, &api) && (api.ErrorCode == notClustered || api.ErrorCode == noPeers):
		return fmt.Errorf("%w; it takes %d servers in one cluster (--replicas)", err, e.options.Replicas)
	}
	return err
}

// Error codes of the server, which jetstream has no names for: JSStreamReplicasNotSupportedErr and
// JSClusterNoPeersErrF.
const (
	notClustered = 10074
	noPeers      = 10005
)

// noRoom are those of a server, or an account, that may not store as much:
// JSAccountResourcesExceededErr, JSMemoryResourcesExceededErr, JSStorageResourcesExceededErr.
var noRoom = []jetstream.ErrorCode{10002, 10028, 10047}

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

// inProcess is the error code of a message ID that is being written already, as by an earlier try:
// JSStreamDuplicateMessageConflict of the server.
const inProcess = 10158

// lasting reports whether to try again is of no use: the engine has said no, for a reason
// that a person has to take away.
func lasting(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		// 503 is one who has no leader, or who is full, which has no code of its own.
		return (api.Code < 500 || full(err)) && api.ErrorCode != inProcess
	}
	for _, e := range []error{errUnfit, client.ErrConnectionClosed, client.ErrMaxPayload,
		jetstream.ErrInvalidKey, client.ErrPermissionViolation, client.ErrAuthorization} {
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
	Senseless  int64  // records that could not be read when Unsettled was called last
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
		Senseless: e.senseless.Load(), Connected: e.conn.IsConnected(), Server: e.conn.ConnectedUrlRedacted(),
	}
	select {
	case <-e.set:
		s.Ready = true
	default:
	}
	return s
}
