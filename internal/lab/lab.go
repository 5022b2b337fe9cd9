package lab

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/seal"
	"mdalp/server"
)

// A Config sets up a [Lab]. Its zero value plays the default profile.
type Config struct {
	// Network is what [Enter] gave; nil is plain loopback, with delays on segments
	// only.
	Network *Network
	Profile *Profile // nil is the default one
	Seed    uint64   // of all that is left to chance
	// Payload is what every client is expected to send; nil when it is not known.
	Payload []byte
	// Limit is the transaction limit, 0 the server's default of 90 s.
	Limit time.Duration
	// Idle is how long a transaction of unknown length must have been whole and
	// silent to settle, 0 the server's default.
	Idle time.Duration
	// Base has the orchestrator offer the base protocol alone.
	Base bool
	// Key, if not nil, has the orchestrator take sealed transactions with it; others are taken too.
	Key *seal.Key
	// Store keeps the payloads; nil is memory.
	Store server.Store
	Log   *slog.Logger // nil is none
	// Settled is called for every transaction that settled, from the goroutine of
	// the network, so it must not block.
	Settled func(server.Result)
	// Watch is given the server with its sockets before anything comes, and the Waker of its
	// loop, by which to look at it from outside.
	Watch func(*server.Server, *loop.Waker, []*loop.Socket)
}

// A Lab is a running network with its orchestrator and receivers.
type Lab struct {
	profile   *Profile
	addr      netip.AddrPort
	receivers []server.Receiver
	private   bool

	cancel context.CancelFunc
	socks  []*loop.Socket
	waker  *loop.Waker
	ended  chan struct{} // closed when all is over
	err    error         // then valid
	stats  Stats         // then valid

	mu      sync.Mutex
	results []server.Result
	news    chan struct{} // closed at the next result
	settled func(server.Result)
	idle    time.Duration
}

// Start opens the sockets and runs the network in a goroutine of its own, until
// ctx ends or Close. Errors are those of the profile and of the sockets.
func Start(ctx context.Context, cfg Config) (*Lab, error) {
	if cfg.Profile == nil {
		p, err := Load("")
		if err != nil {
			return nil, err
		}
		cfg.Profile = p
	}
	if err := cfg.Profile.Validate(); err != nil {
		return nil, fmt.Errorf("profile %s: %w", cfg.Profile.Name, err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Lab{
		profile: cfg.Profile,
		private: cfg.Network != nil,
		ended:   make(chan struct{}),
		news:    make(chan struct{}),
		settled: cfg.Settled,
		idle:    cmp.Or(cfg.Idle, server.DefaultIdle),
	}
	places := cfg.Profile.places()
	order, err := l.open(cfg.Network, places)
	if err != nil {
		l.closeSockets()
		return nil, err
	}
	srv, front, err := l.server(&cfg, places, order)
	if err != nil {
		l.closeSockets()
		return nil, err
	}
	if l.waker, err = loop.NewWaker(); err != nil {
		l.closeSockets()
		return nil, err
	}
	if cfg.Watch != nil {
		cfg.Watch(srv, l.waker, l.socks)
	}
	w := newWan(front, cfg.Seed, cfg.Profile.Access, places, order)
	ctx, l.cancel = context.WithCancel(ctx)
	go l.run(ctx, srv, w, cfg.Log)
	return l, nil
}

// open opens the socket of each place, and the ICMP sockets. It gives the place
// of each socket, for the network to know. Each address has a socket of its own
// and not all of them one on the wildcard address, so that one that refuses is
// really closed.
func (l *Lab) open(n *Network, places []place) (order []int, err error) {
	if n != nil {
		addrs := make([]netip.Addr, len(places))
		for i := range places {
			addrs[i] = places[i].addr
		}
		if err := n.play(addrs); err != nil {
			return nil, err
		}
	}
	for i := range places {
		p := &places[i]
		if n == nil {
			p.addr = standIn(i)
		}
		p.port = server.Port
		opts := loop.Options{PacketInfo: true}
		s, err := loop.Listen(netip.AddrPortFrom(p.addr, p.port), opts)
		if err != nil && n == nil {
			// Someone has the port: the offer tells of another one.
			s, err = loop.Listen(netip.AddrPortFrom(p.addr, 0), opts)
		}
		if err != nil {
			return nil, fmt.Errorf("%v port %d: %w", p.addr, p.port, err)
		}
		p.port = s.LocalAddr().Port()
		if p.refuse {
			// A port that was free is one where nobody else answers.
			if err := s.Close(); err != nil {
				return nil, err
			}
			continue
		}
		l.socks = append(l.socks, s)
		order = append(order, i)
	}
	if n == nil {
		return order, nil
	}
	for _, family := range n.families() {
		s, err := openEcho(family)
		if err != nil {
			return nil, err
		}
		l.socks = append(l.socks, s)
		order = append(order, -1)
	}
	return order, nil
}

// server makes the orchestrator and the receivers, and gives what datagrams come to first: the
// server too, or who opens and seals for it. order is the place of each socket.
func (l *Lab) server(cfg *Config, places []place, order []int) (*server.Server, loop.Handler, error) {
	for i, p := range places[1:] {
		l.receivers = append(l.receivers, server.Receiver{
			Addr: netip.AddrPortFrom(p.addr, p.port),
			Name: cfg.Profile.Receivers[i].Name,
			Sock: -1, // they are known by their addresses
		})
	}
	l.addr = netip.AddrPortFrom(places[0].addr, places[0].port)
	if cfg.Store == nil {
		cfg.Store = new(server.Memory) // and not nothing: the digests that are told are of what came
	}
	c := server.Config{
		Receivers:  l.receivers,
		Limit:      cfg.Limit,
		Idle:       cfg.Idle,
		OfferDelay: time.Duration(cfg.Profile.Orchestrator.OfferDelay),
		Store:      cfg.Store,
		IntentRate: -1, // all clients have one address here
		OfferRate:  -1,
		Concurrent: 1024,
		// Likewise.
		SourceConcurrent: 1024,
		Base:             cfg.Base,
		Log:              cfg.Log,
		Settled:          l.settle,
	}
	for i, s := range l.socks {
		if order[i] >= 0 { // none for pings
			c.Buffers = append(c.Buffers, s.ReceiveBuffer())
		}
	}
	for i := range 4 {
		for j, x := 0, sim.Mix(cfg.Seed, uint64(i)); j < 8; j, x = j+1, x>>8 {
			c.Seed[i*8+j] = byte(x)
		}
	}
	if cfg.Payload != nil {
		c.Expect = &server.Payload{Size: int64(len(cfg.Payload)), SHA256: sha256.Sum256(cfg.Payload)}
	}
	if cfg.Key == nil {
		s, err := server.New(c)
		return s, s, err
	}
	var ring seal.Keyring
	if err := ring.Add("lab", *cfg.Key); err != nil {
		return nil, nil, err
	}
	s, err := server.NewSealed(c, &ring, false, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return s.Server, s, nil
}

// run is the goroutine of the network.
func (l *Lab) run(ctx context.Context, srv *server.Server, w *wan, log *slog.Logger) {
	defer close(l.ended)
	err := l.waker.Run(ctx, w, l.socks...)
	if ctx.Err() == nil {
		log.Error("the network of the lab broke", "err", err)
		l.err = err
	}
	// The clients have ended: what is whole now stays so.
	srv.Close(time.Now().Add(l.idle))
	l.stats = w.stats
	l.closeSockets()
}

func (l *Lab) closeSockets() {
	if l.waker != nil {
		l.waker.Close()
	}
	for _, s := range l.socks {
		if err := s.Close(); err != nil && l.err == nil {
			l.err = err
		}
	}
}

// Addr is where the orchestrator takes intents.
func (l *Lab) Addr() netip.AddrPort { return l.addr }

// Receivers are the receivers in the order of the offer, at the addresses at which
// they are played.
func (l *Lab) Receivers() []server.Receiver { return l.receivers }

// Profile is the profile that is played.
func (l *Lab) Profile() *Profile { return l.profile }

// Private says whether the network is one of our own, where pings are as late as
// the profile says. Else they are answered by the kernel, at once.
func (l *Lab) Private() bool { return l.private }

// Environ is the environment for a command in the lab: this process's, with
// MDALP_ADDR and MDALP_PORT set to the orchestrator.
func (l *Lab) Environ() []string {
	return append(os.Environ(), "MDALP_ADDR="+l.addr.Addr().String(),
		"MDALP_PORT="+strconv.Itoa(int(l.addr.Port())))
}

// Close ends the network, and settles what is open. It gives the error that broke
// the network, if any did.
func (l *Lab) Close() error {
	l.cancel()
	<-l.ended
	return l.err
}

// Stats counts what the network did. It is valid after Close.
func (l *Lab) Stats() Stats {
	<-l.ended
	return l.stats
}
