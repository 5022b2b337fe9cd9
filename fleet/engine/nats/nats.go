// Package nats is the engine of a fleet on NATS JetStream: two key-value buckets for ledger
// and registry, one for what never changes, a stream for what has settled, and questions by
// request and reply.
//
// What was written without an error is with a quorum of the servers. Whether it survives that
// they all lose power at once is a matter of their sync_interval, see docs/fleet.md.
package nats

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
)

// What an option means when it is 0.
const (
	DefaultFleet    = "mdalp"
	DefaultReplicas = 3
	// DefaultLedgerBytes is room for about 1.3 million transactions of four receivers, see docs/scale.md.
	DefaultLedgerBytes  = 1 << 30
	DefaultSettledBytes = 1 << 30
)

const (
	partiesBytes = 8 << 20
	fixedBytes   = 1 << 20
	maxValue     = engine.MostRecord
	// doubles is how long the stream of settled transactions knows a message ID again.
	doubles = 10 * time.Minute
	// attempt is how long one try may take. A server that is cut off says nothing, and
	// another one may have the lead meanwhile.
	attempt = 2 * time.Second
	// bound is how long a call takes at most, when its context has no end of its own. An
	// election takes 4 to 9 seconds.
	bound = 15 * time.Second
	// pause is between two tries.
	pause = 100 * time.Millisecond
)

// Options say where the engine is. Only URL must be given.
type Options struct {
	// URL has the servers' addresses, with commas between them.
	URL string
	// Fleet names buckets and subjects, so that several fleets may share an engine: at most
	// 32 letters, digits, dashes and underscores.
	Fleet string
	// Replicas is how many servers keep each bucket: 1, 3 or 5.
	Replicas int
	// LedgerBytes and SettledBytes bound what is kept.
	LedgerBytes, SettledBytes int64
	// Look has nothing made: a fleet that is not there yet is not there.
	Look bool
	// Name is told to the servers, for people.
	Name string
	// Creds is a file with a user's JWT and seed; CA, Cert and Key are PEM files. Cert and
	// Key come together.
	Creds, CA, Cert, Key string
	// Log gets a line when the engine is away, and when it is back; nil is none.
	Log *slog.Logger
}

// Engine implements [engine.Engine].
type Engine struct {
	options Options
	id      string // of this process, and no other's
	log     *slog.Logger
	conn    *client.Conn
	js      jetstream.JetStream
	end     context.CancelFunc
	running sync.WaitGroup

	set      chan struct{} // closed when the buckets are there,
	absent   chan struct{} // or when they are not, and nobody is to make them
	ledger   jetstream.KeyValue
	parties  jetstream.KeyValue
	fixed    jetstream.KeyValue
	born     time.Time // when the ledger was made; of setUp, and then of watch
	records  *view
	follow   func() // has records kept up to date from now on
	living   *view
	meet     func() // has living kept up to date from now on
	sync     syncer // of the ledger,
	marks    syncer // and of the registry
	room     room
	measured func() // has it kept up to date from now on

	stats counters
	// senseless is how many records could not be read when Unsettled was called last.
	senseless atomic.Int64
	mu        sync.Mutex
	told      map[string]struct{} // keys of which the log says that they make no sense
	joined    string              // the token of the fleet's directory, once it is known
	why       error               // of setup, as long as set is open
	unreached error               // why the server that was tried last was not reached
	denied    error               // what a server has said last that this user may not do
	errs      map[string]struct{} // errors that the servers told since the connection was made
}

var _ engine.Engine = (*Engine)(nil)

var fleetName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// IsFleet says whether a name is fit for [Options.Fleet].
func IsFleet(name string) bool { return fleetName.MatchString(name) }

// Dial connects to an engine. One that is not there is no error: every call fails with
// [engine.ErrAway] until it is. Errors are of the options and their files.
func Dial(o Options) (*Engine, error) {
	if o.URL == "" {
		return nil, errors.New("nats: no URL")
	}
	fill(&o.Fleet, DefaultFleet)
	fill(&o.Replicas, DefaultReplicas)
	fill(&o.LedgerBytes, DefaultLedgerBytes)
	fill(&o.SettledBytes, DefaultSettledBytes)
	if !IsFleet(o.Fleet) {
		return nil, fmt.Errorf("nats: %q is no name of a fleet: letters, digits, - and _, at most 32",
			o.Fleet)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{options: o, id: rand.Text(), log: o.Log, set: make(chan struct{}),
		absent: make(chan struct{})}
	settings, err := o.settings()
	if err != nil {
		return nil, err
	}
	if e.conn, err = client.Connect(o.URL, append(settings, e.observers()...)...); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	if e.js, err = jetstream.New(e.conn); err != nil {
		e.conn.Close()
		return nil, fmt.Errorf("nats: %w", err)
	}
	ctx, end := context.WithCancel(context.Background())
	e.end = end
	e.running.Go(func() { e.setUp(ctx) })
	return e, nil
}

// Close ends the connection. Calls that are under way fail.
func (e *Engine) Close() {
	e.end()
	e.conn.Close()
	e.running.Wait()
}

func fill[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// settings are the connection's.
func (o *Options) settings() ([]client.Option, error) {
	s := []client.Option{
		client.Name(o.Name),
		client.RetryOnFailedConnect(true),
		client.MaxReconnects(-1),
		client.ReconnectWait(250 * time.Millisecond),
		client.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		client.Timeout(2 * time.Second),
		// A server that is cut off closes no connection: it is known after 6 seconds.
		client.PingInterval(2 * time.Second),
		client.MaxPingsOutstanding(2),
		// What cannot be sent now fails now, rather than to arrive when nobody waits for it.
		client.ReconnectBufSize(-1),
		// Who is let in by nobody twice would give up for ever; users change while a part runs.
		client.IgnoreAuthErrorAbort(),
	}
	if o.Creds != "" {
		s = append(s, client.UserCredentials(o.Creds))
	}
	if o.CA != "" {
		s = append(s, client.RootCAs(o.CA))
	}
	if (o.Cert == "") != (o.Key == "") {
		return nil, errors.New("nats: a certificate and its key come together")
	}
	if o.Cert != "" {
		s = append(s, client.ClientCert(o.Cert, o.Key))
	}
	if o.CA != "" || o.Cert != "" {
		s = append(s, client.Secure(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	return s, nil
}

// observers tell people and counters how the connection is.
func (e *Engine) observers() []client.Option {
	return []client.Option{
		client.DisconnectErrHandler(func(_ *client.Conn, err error) {
			if err != nil {
				e.log.Warn("the engine's connection is lost", "error", err)
			}
		}),
		client.ConnectHandler(func(*client.Conn) { e.reached() }),
		client.ReconnectHandler(func(c *client.Conn) {
			e.reached()
			e.stats.reconnects.Add(1)
			e.log.Info("the engine is connected again", "server", c.ConnectedUrlRedacted())
		}),
		client.ReconnectErrHandler(func(_ *client.Conn, err error) {
			if telling(err) {
				e.note(&e.unreached, plainly(err))
			}
		}),
		client.ErrorHandler(func(_ *client.Conn, _ *client.Subscription, err error) {
			if errors.Is(err, client.ErrPermissionViolation) {
				e.note(&e.denied, err)
			}
			if e.fresh(err) {
				e.log.Warn("the engine tells an error", "error", err)
			}
		}),
	}
}

// note keeps an error for people.
func (e *Engine) note(at *error, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	*at = err
}

// reached takes that there is a connection: what was wrong before is of no interest any more.
func (e *Engine) reached() {
	e.note(&e.unreached, nil)
	e.note(&e.denied, nil)
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.errs)
}

// noted gives it.
func (e *Engine) noted(at *error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return *at
}

// ready waits until the buckets are there.
func (e *Engine) ready(ctx context.Context) error {
	select {
	case <-e.set:
		return nil
	default:
	}
	select {
	case <-e.set:
		return nil
	case <-e.absent:
		return e.noted(&e.why)
	case <-ctx.Done():
		return e.away(e.noted(&e.why))
	}
}

// bounded gives a context that ends.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ends := ctx.Deadline(); ends {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, bound)
}

// wait pauses between two tries; it gives false when ctx is done.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
