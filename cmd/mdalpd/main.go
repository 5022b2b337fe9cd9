// Command mdalpd is an orchestrator and receivers of the Multi Destination
// Application Layer Protocol in one process.
//
//	mdalpd --store DIR
//
// answers intents on UDP port 4650 and takes segments on the same port of every
// address that it offers. It logs one line for each transaction to standard error.
//
// SIGINT or SIGTERM settles what is open, and ends it with exit code 0. The others:
// 2 the command line makes no sense; 4 a socket, permission or file.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mdalp"
	"mdalp/cmd/internal/shell"
	"mdalp/cmd/internal/usage"
	"mdalp/loop"
	"mdalp/server"
)

// The exit codes.
const (
	exitUsage  = 2 // the command line makes no sense
	exitSystem = 4 // name, socket, permission, file
)

func main() { os.Exit(run(os.Args[1:])) }

// run is the program: it gives the exit code.
func run(args []string) int {
	c := newCommand()
	c.SetArgs(args)
	if shell.Asked(args) {
		shell.Complete(c, nil)
	}
	out := new(usage.Output)
	c.SetOut(out)
	err := out.Or(c.ExecuteContext(context.Background()))
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "mdalpd: %s\n", usage.Line(err))
	if usage.Is(err) {
		fmt.Fprintln(os.Stderr, "Try 'mdalpd --help'.")
		return exitUsage
	}
	return exitSystem
}

// options is the command line.
type options struct {
	listen    string
	receivers []string
	names     []string
	store     string
	expect    string
	limit     time.Duration
	idle      time.Duration
	delay     time.Duration
	// 0 is the server's default for this and most numbers below.
	concurrent int
	// Of intents: beyond them an intent is dropped, as on a network that is too busy.
	queue    int
	maxBytes int64
	rate     float64
	firstTID int64
	partial  bool
	verbose  bool
}

func newCommand() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "mdalpd",
		Short: "An MDALP orchestrator and its receivers",
		Long: `An MDALP orchestrator and its receivers in one process: it answers intents
and puts the segments of each transaction together in a directory.`,
		Example: `  mdalpd --store /var/lib/mdalpd
  mdalpd --listen 192.0.2.1:4650 --receivers 192.0.2.1,192.0.2.2,192.0.2.3 --expect payload`,
		Version:       mdalp.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(c *cobra.Command, a []string) error {
			if len(a) > 0 {
				return usage.Errorf("unexpected argument %q", a[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	c.CompletionOptions.DisableDefaultCmd = true
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage.Flag(err) })
	usage.Help(c)
	c.AddCommand(shell.Command("mdalpd"), book.Command())
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.listen, "listen", ":4650", "address and port for intents")
	f.StringSliceVar(&o.receivers, "receivers", nil, "addresses to offer, each ADDR or ADDR:PORT (default: this host's)")
	f.StringSliceVar(&o.names, "names", nil, "names of the receivers in the offer, in the same order")
	f.StringVar(&o.store, "store", "", "directory for the payloads (default: keep none)")
	f.StringVar(&o.expect, "expect", "", "the payload that every transaction must bring")
	usage.Duration(f, &o.limit, "limit", server.DefaultLimit, "how long a transaction may take; then silence")
	usage.Duration(f, &o.idle, "idle", server.DefaultIdle, "without --expect, silence after which whole data is complete")
	usage.Duration(f, &o.delay, "offer-delay", 0, "hold every offer back, as a busy orchestrator does")
	f.IntVar(&o.concurrent, "concurrent", server.DefaultConcurrent, "transactions at the same time")
	f.IntVar(&o.queue, "queue", server.DefaultQueue, "intents that may wait for their turn")
	f.Int64Var(&o.maxBytes, "max-bytes", server.DefaultMaxBytes, "largest payload of a transaction, in bytes")
	f.Float64Var(&o.rate, "intent-rate", server.DefaultIntentRate, "intents a second that one source may send (negative: any)")
	f.Int64Var(&o.firstTID, "first-tid", 0, "number the transactions from here (default: random numbers)")
	f.BoolVar(&o.partial, "keep-partial", false, "keep what came of an incomplete payload as TID.partial")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log counters at the end")
	return c
}

// run serves until a signal comes.
func (o *options) run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	cfg := server.Config{
		Limit: o.limit, Idle: o.idle, OfferDelay: o.delay, Concurrent: o.concurrent,
		// Where the server takes 0 for its default, 0 means none here.
		Queue:    cmp.Or(o.queue, -1),
		MaxBytes: o.maxBytes, IntentRate: o.rate, FirstTID: o.firstTID, KeepPartial: o.partial, Log: log,
	}
	// Strangers must not guess TIDs. It never fails (crypto/rand).
	rand.Read(cfg.Seed[:])
	if err := o.check(); err != nil {
		return err
	}
	listen, err := address(o.listen, server.Port)
	if err == nil && !oneHost(listen.Addr()) {
		err = errors.New("it is no address of this host")
	}
	if err != nil {
		return usage.Errorf("--listen %s: %w", usage.Shown(o.listen), err)
	}
	ports, err := o.offered(&cfg, listen)
	if err != nil {
		return err
	}
	if o.expect != "" {
		if cfg.Expect, err = expect(o.expect); err != nil {
			if err = usage.File(err); errors.Is(err, syscall.EISDIR) {
				err = errors.New("it is a directory: give the payload")
			}
			return fmt.Errorf("--expect %s: %w", o.expect, err)
		}
	}
	if o.store != "" {
		if cfg.Store, err = server.NewDir(o.store, server.DirOptions{}); err != nil {
			return fmt.Errorf("--store %s: the directory cannot be made or written: %w", o.store, usage.File(err))
		}
	}
	s, err := server.New(cfg)
	if err != nil {
		// All else was checked before.
		return usage.Errorf("--receivers: %s", strings.TrimPrefix(err.Error(), "server: "))
	}
	socks, err := open(where(listen, cfg.Receivers), ports)
	if err != nil {
		return err
	}
	for _, k := range socks {
		defer k.Close()
	}
	log.Info("listening", "intents", socks[0].LocalAddr(), "receivers", len(cfg.Receivers), "store", o.store)
	err = loop.Run(ctx, s, socks...)
	// This settles and stores what is open, so it comes before the counters and any error.
	s.Close(time.Now())
	if o.verbose {
		log.Info("counters", "stats", fmt.Sprintf("%+v", s.Stats()))
	}
	if ctx.Err() != nil {
		log.Info("stopped")
		return nil
	}
	return err
}

// offered fills in the receivers, and gives the ports on which they listen.
func (o *options) offered(cfg *server.Config, listen netip.AddrPort) ([]uint16, error) {
	if len(o.receivers) == 0 {
		// A zone names an interface of this host (RFC 4007), which means nothing to others.
		if listen.Addr().Zone() != "" {
			return nil, usage.Errorf("--listen %s: clients cannot use an address with a zone: give others by --receivers", o.listen)
		}
		a, err := own(listen.Addr())
		if err != nil {
			return nil, err
		}
		o.receivers = []string{netip.AddrPortFrom(a, listen.Port()).String()}
	}
	if len(o.names) > len(o.receivers) {
		return nil, usage.Errorf("--names: %d names for %d receivers", len(o.names), len(o.receivers))
	}
	// A socket for each port and not for each address: thousands may be offered.
	ports := []uint16{listen.Port()}
	for i, text := range o.receivers {
		a, err := address(text, server.Port)
		if err != nil {
			return nil, usage.Errorf("--receivers %s: %w", usage.Shown(text), err)
		}
		if a.Addr().IsUnspecified() || a.Addr().Zone() != "" || !oneHost(a.Addr()) {
			return nil, usage.Errorf("--receivers %s: give an address that clients can send to", text)
		}
		if slices.ContainsFunc(cfg.Receivers, func(r server.Receiver) bool { return r.Addr == a }) {
			return nil, usage.Errorf("--receivers: receiver %v is given twice", a)
		}
		r := server.Receiver{Addr: a}
		if i < len(o.names) {
			r.Name = o.names[i]
		}
		// Receivers on one port share its socket.
		for r.Sock = 0; r.Sock < len(ports) && ports[r.Sock] != a.Port(); r.Sock++ {
		}
		if r.Sock == len(ports) {
			ports = append(ports, a.Port())
		}
		cfg.Receivers = append(cfg.Receivers, r)
	}
	return ports, nil
}

// oneHost reports whether an address may be a host's, and not that of many.
func oneHost(a netip.Addr) bool {
	return !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// address reads ADDR, ADDR:PORT, [ADDR]:PORT or :PORT.
func address(text string, port uint16) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	host, p, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, errors.New("it is ADDR or ADDR:PORT")
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, fmt.Errorf("port %q: it is 1 to 65535", p)
	}
	a := netip.IPv6Unspecified()
	if host != "" {
		if a, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, fmt.Errorf("%q is no address", host)
		}
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// own is the address to offer when none is named: the one that is listened on, or
// that of the way out of this host, or loopback.
func own(listen netip.Addr) (netip.Addr, error) {
	if !listen.IsUnspecified() {
		return listen, nil
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, x := range all {
		// IPv4, since the original clients know nothing else.
		if p, err := netip.ParsePrefix(x.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr(), nil
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
}

// open opens a socket for each port; the first is the orchestrator's. Where
// several addresses are served, sockets listen on the wildcard address: which one
// was addressed, each datagram tells.
func open(listen netip.AddrPort, ports []uint16) ([]*loop.Socket, error) {
	var socks []*loop.Socket
	for _, p := range ports {
		// PacketInfo because answers must leave from the address that was addressed.
		opts := loop.Options{PacketInfo: true, MaxDatagram: 16 << 10}
		s, err := loop.Listen(netip.AddrPortFrom(listen.Addr(), p), opts)
		// A kernel without IPv6, and ":4650" asked for every address that there is.
		if errors.Is(err, syscall.EAFNOSUPPORT) && listen.Addr() == netip.IPv6Unspecified() {
			s, err = loop.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), p), opts)
		}
		if err != nil {
			for _, k := range socks {
				k.Close()
			}
			what := "--listen " + listen.String()
			if p != listen.Port() {
				what = fmt.Sprintf("--receivers: port %d", p)
			}
			return nil, fmt.Errorf("%s: %w%s", what, err, advice(err))
		}
		socks = append(socks, s)
	}
	return socks, nil
}

// advice says what to do about an error of bind(2).
func advice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ": another program has the port, choose another one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return ": this host has no such address"
	case errors.Is(err, syscall.EACCES):
		return ": ports below 1024 are root's"
	}
	return ""
}

// where is the address to listen on: the one that was named if it is all that is
// offered, else the wildcard address that takes every family of those.
func where(listen netip.AddrPort, receivers []server.Receiver) netip.AddrPort {
	wildcard, others := netip.IPv4Unspecified(), false
	if listen.Addr().Is6() {
		wildcard = netip.IPv6Unspecified()
	}
	for _, r := range receivers {
		others = others || r.Addr != listen
		if r.Addr.Addr().Is6() {
			wildcard = netip.IPv6Unspecified()
		}
	}
	if !others {
		return listen
	}
	return netip.AddrPortFrom(wildcard, listen.Port())
}

// expect reads the payload that every transaction must bring.
func expect(path string) (*server.Payload, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return nil, err
	}
	return &server.Payload{Size: n, SHA256: [sha256.Size]byte(h.Sum(nil))}, nil
}
