// Package status shows what a server does: a page for people, JSON, metrics for Prometheus,
// and whether it is alive. All of it is read only.
//
// The loop knows nothing of it. Who looks has the loop's goroutine make one [State] by its
// Waker, at most every [every], and everybody reads the newest by an atomic pointer. While
// nobody looks, nothing is made. What the loop does for it at a verdict is to append to a list.
package status

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"mdalp/loop"
	"mdalp/server"
)

const (
	// every is how often a State is made at most.
	every = 500 * time.Millisecond
	// patience is how long somebody who looks waits for the loop.
	patience = 2 * time.Second
	// most is how many connections there may be at once.
	most = 128
	// farewell is how long the end waits for requests under way.
	farewell = time.Second
)

// A Watched is what the page tells about.
type Watched struct {
	Server *server.Server
	// Waker is that of the Server's loop.
	Waker *loop.Waker
	// Sockets are read in the loop's goroutine.
	Sockets []*loop.Socket
	// Store is asked for its usage if it is one that can tell, as a [server.Dir] is. Path is
	// its directory, empty without one.
	Store server.Store
	Path  string
}

// Descriptors is how many files the page may have open at once.
func (o *Options) Descriptors() int {
	if o.Addr == "" {
		return 0
	}
	return most + 8 // its socket, what /metrics reads of /proc, the disk
}

// A Page is a listener and what it serves. A nil Page is one that is off: its methods do
// nothing.
type Page struct {
	o       Options
	listen  net.Listener
	log     *slog.Logger
	started time.Time
	src     Watched

	tally tally // of the loop's goroutine alone
	last  atomic.Pointer[State]

	asking  chan struct{} // who holds its one place may ask the loop,
	pending chan struct{} // and knows of this: closed when the loop has answered; nil when it need not

	disk disk
	seen atomic.Pointer[rendered]
	live chan struct{} // a place for each page that is kept up to date
	http *http.Server
	stop context.CancelFunc
	over chan struct{} // closed when http serves no more
}

// Open listens as o says; nil without an error when that is nowhere. Nothing is served
// before Serve. The error names the option.
func Open(o Options, log *slog.Logger) (*Page, error) {
	if err := o.Check(); err != nil || o.Addr == "" {
		return nil, err
	}
	l, err := o.listener()
	if err != nil {
		return nil, err
	}
	return &Page{
		o: o, listen: l, log: log, started: time.Now(),
		asking: make(chan struct{}, 1), live: make(chan struct{}, mostLive),
	}, nil
}

// Serve begins to answer. It does not wait.
func (p *Page) Serve(src Watched) {
	if p == nil {
		return
	}
	p.src = src
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.over = stop, make(chan struct{})
	p.http = &http.Server{
		Handler:           p.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		// What is sent has a time of its own in each handler: a live page takes for ever.
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		// What strangers do wrong is no matter for the log.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	p.log.Info("status page", "http", p.o.Addr)
	if !p.o.private() {
		p.log.Warn("the status page is open to all who can reach it: it asks for no password",
			"http", p.o.Addr)
	}
	go func() {
		defer close(p.over)
		err := p.http.Serve(netutil.LimitListener(p.listen, most))
		if !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("the status page has ended", "err", err)
		}
	}()
}

// Close ends the page: at once for those who keep it open, and for requests under way
// within a second. The socket file of a Unix socket is removed.
func (p *Page) Close() {
	switch {
	case p == nil:
		return
	case p.http == nil:
		p.listen.Close()
		return
	}
	p.stop()
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if p.http.Shutdown(ctx) != nil {
		p.http.Close()
	}
	<-p.over
}

// state gives the newest State, and whether it is fresh. It is nil when the loop has never
// answered.
func (p *Page) state(ctx context.Context) (s *State, fresh bool) {
	if s = p.last.Load(); s.fresh() {
		return s, true
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case p.asking <- struct{}{}:
		defer func() { <-p.asking }()
	case <-ctx.Done():
		return p.last.Load(), false
	}
	if s = p.last.Load(); s.fresh() { // somebody else has asked meanwhile
		return s, true
	}
	if p.pending == nil {
		done := make(chan struct{})
		p.pending = done
		p.src.Waker.Post(func(now time.Time) {
			p.publish(now)
			close(done)
		})
	}
	select {
	case <-p.pending:
		p.pending = nil
		return p.last.Load(), true
	case <-ctx.Done():
		// The loop is busy or has ended. It is not asked twice.
		return p.last.Load(), false
	}
}

// fresh reports whether s is new enough to be shown.
func (s *State) fresh() bool { return s != nil && time.Since(s.Now.At) < every }
