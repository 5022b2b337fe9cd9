package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mdalp/fleet"
	"mdalp/fleet/engine"
	"mdalp/fleet/engine/nats"
	"mdalp/internal/disk"
)

// common is what all commands need: the engine.
type common struct {
	nats.Options
	logFormat string
}

func (o *common) define(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.URL, "engine", "", "addresses of the NATS servers, with commas between them")
	f.StringVar(&o.Fleet, "fleet", nats.DefaultFleet, "name of the fleet, where several share an engine")
	f.StringVar(&o.Creds, "engine-creds", "", "file with the credentials of this user (JWT and seed)")
	f.StringVar(&o.CA, "engine-ca", "", "PEM file with the authority that the servers' certificates are of")
	f.StringVar(&o.Cert, "engine-cert", "", "PEM file with the certificate of this client, with --engine-key")
	f.StringVar(&o.Key, "engine-key", "", "PEM file with its key")
	f.StringVar(&o.logFormat, "log-format", "text", "log lines as text or json")
}

// dial connects to the engine; name is told to it, for people.
func (o *common) dial(name string, log *slog.Logger) (*nats.Engine, error) {
	if o.URL == "" {
		return nil, usagef("--engine is missing: where the NATS servers are, as nats://ADDR:4222")
	}
	if err := o.checkEngine(); err != nil {
		return nil, err
	}
	o.Name, o.Log = name, log
	e, err := nats.Dial(o.Options)
	if err != nil {
		return nil, fmt.Errorf("--engine %s: %w", redacted(o.URL), err)
	}
	return e, nil
}

// checkEngine finds what would else be tried for ever, or be told without the option's name.
func (o *common) checkEngine() error {
	if !nats.IsFleet(o.Fleet) {
		return usagef("--fleet %q: 1 to 32 letters, digits, - and _", o.Fleet)
	}
	for part := range strings.SplitSeq(o.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		known := err == nil && slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme)
		if !known || u.Hostname() == "" {
			return usagef("--engine %s: an address is nats://HOST:4222 or tls://HOST:4222", redacted(part))
		}
	}
	if (o.Cert == "") != (o.Key == "") {
		return usagef("--engine-cert and --engine-key come together")
	}
	for _, f := range []struct{ option, file, what string }{
		{"--engine-creds", o.Creds, "NATS USER JWT"}, {"--engine-ca", o.CA, "CERTIFICATE"},
		{"--engine-cert", o.Cert, "CERTIFICATE"}, {"--engine-key", o.Key, ""},
	} {
		if f.file == "" {
			continue
		}
		b, err := os.ReadFile(f.file)
		if err != nil {
			return fmt.Errorf("%s %s: %w", f.option, f.file, bare(err))
		}
		if begin := "-----BEGIN " + f.what; !bytes.Contains(b, []byte(begin)) {
			return fmt.Errorf("%s %s: there is no \"%s\" in it", f.option, f.file, begin)
		}
		if f.file == o.CA && !x509.NewCertPool().AppendCertsFromPEM(b) {
			return fmt.Errorf("%s %s: there is no certificate in it", f.option, f.file)
		}
	}
	if o.Cert != "" {
		if _, err := tls.LoadX509KeyPair(o.Cert, o.Key); err != nil {
			return fmt.Errorf("--engine-cert %s, --engine-key %s: %w", o.Cert, o.Key, err)
		}
	}
	return nil
}

// negative finds values that make no sense.
func negative(values map[string]int64) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if values[name] < 0 {
			return usagef("%s: it is negative", name)
		}
	}
	return nil
}

// redacted leaves out what may be a password.
func redacted(urls string) string {
	parts := strings.Split(urls, ",")
	for i, p := range parts {
		scheme, rest, ok := strings.Cut(p, "://")
		if at := strings.LastIndexByte(rest, '@'); ok && at >= 0 {
			parts[i] = scheme + "://xxxxx" + rest[at:]
		}
	}
	return strings.Join(parts, ",")
}

func (o *common) log() (*slog.Logger, error) {
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, nil)), nil
	}
	return nil, usagef("--log-format %q: it is text or json", o.logFormat)
}

// part is what orchestrators and receivers need, too.
type part struct {
	common
	dir string
	// fleetKey is the path of the fleet's own key.
	fleetKey string

	listen string
	zone   string
	drain  time.Duration
	http   string
}

func (o *part) define(f *pflag.FlagSet) {
	o.common.define(f)
	f.IntVar(&o.Replicas, "replicas", nats.DefaultReplicas,
		"servers that keep each bucket, where this part makes them: 1, 3 or 5")
	f.Int64Var(&o.LedgerBytes, "ledger-bytes", nats.DefaultLedgerBytes,
		"most that the ledger holds, likewise; records stay for 25 hours")
	f.Int64Var(&o.SettledBytes, "settled-bytes", nats.DefaultSettledBytes,
		"most that the stream of settled transactions holds, likewise; the oldest go first")
	f.StringVar(&o.dir, "dir", "", "directory that all of the fleet share")
	f.StringVar(&o.listen, "listen", ":4650",
		"address and port; without ADDR, that of the default route is told to others")
	f.StringVar(&o.zone, "zone", "",
		"zone that it is in; an offer is spread over as many as there are")
	f.DurationVar(&o.drain, "drain", time.Minute,
		"at the first signal, how long what it has may take to end; a second one ends it at once")
	f.StringVar(&o.fleetKey, "fleet-key", "",
		"key of this fleet, as 'mdalp key' makes it: the same for all parts, and for no client")
	f.StringVar(&o.http, "http", "",
		"status page, JSON and metrics at this address and port (default: none)")
}

// replicas that make sense: an even number fails no later than one less.
func (o *part) check() error {
	switch {
	case o.dir == "":
		return usagef("--dir is missing: the directory that all of the fleet share")
	case o.Replicas != 1 && o.Replicas != 3 && o.Replicas != 5:
		return usagef("--replicas %d: 1, 3 or 5 are possible", o.Replicas)
	case o.LedgerBytes < 1<<20 || o.SettledBytes < 1<<20:
		return usagef("--ledger-bytes, --settled-bytes: 1048576 are the least")
	case !engine.Printable(o.zone):
		return usagef("--zone \"%s\": it is of one line, of 255 bytes at most", o.zone)
	case o.drain < 0:
		return usagef("--drain %v: it is negative", o.drain)
	}
	if o.http != "" {
		if _, err := net.ResolveTCPAddr("tcp", o.http); err != nil {
			return usagef("--http %q: it is ADDR:PORT", o.http)
		}
	}
	return nil
}

// address is where it listens, and what of that others are told.
func (o *part) address() (listen, told netip.AddrPort, err error) {
	wrong := func(why string) (netip.AddrPort, netip.AddrPort, error) {
		return netip.AddrPort{}, netip.AddrPort{}, usagef("--listen %q: %s", o.listen, why)
	}
	text := o.listen
	any := strings.HasPrefix(text, ":")
	if any {
		text = "0.0.0.0" + text
	}
	if _, err := netip.ParseAddr(text); err == nil {
		text = net.JoinHostPort(text, "4650")
	}
	if listen, err = netip.ParseAddrPort(text); err != nil || listen.Port() == 0 {
		return wrong("it is ADDR, ADDR:PORT or :PORT")
	}
	if a := listen.Addr(); a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return wrong("it is one of many hosts: name one of this host alone")
	}
	told = listen
	if listen.Addr().IsUnspecified() {
		a, err := outward()
		if err != nil {
			return wrong("this host has no default route: name the address that others reach it by")
		}
		told = netip.AddrPortFrom(a, listen.Port())
	}
	return listen, told, nil
}

// outward is the address from which this host sends to others. Nothing is sent.
func outward() (netip.Addr, error) {
	c, err := net.Dial("udp4", "192.0.2.1:9") // of documentation (RFC 5737)
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// identity is the default of --id: the host's name, as an ID may be spelled.
func identity() string {
	h, err := os.Hostname()
	if err != nil {
		return ""
	}
	h, _, _ = strings.Cut(h, ".")
	return regexp.MustCompile(`[^A-Za-z0-9_-]`).ReplaceAllString(h, "-")
}

// tokenFor is how long another part that starts at the same time may take to write the token.
const tokenFor = 5 * time.Second

// folder opens the shared directory.
func (o *part) folder() (disk.Folder, error) {
	f, err := disk.View(o.dir)
	if err != nil {
		return nil, fmt.Errorf("--dir %s: %w", o.dir, bare(err))
	}
	return f, nil
}

// join waits until the engine says whose directory it is: without an engine there is nothing
// else to do. Another directory is an error.
func (o *part) join(ctx context.Context, e engine.Engine, f disk.Folder) (token string, err error) {
	fresh := rand.Text()
	for began := time.Now(); ; {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		token, err = fleet.Join(try, e, f, fresh)
		cancel()
		switch {
		case err == nil:
			return token, nil
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case errors.Is(err, fleet.ErrNoToken) && time.Since(began) < tokenFor:
			time.Sleep(tick)
		case errors.Is(err, fleet.ErrDirectory):
			return "", fmt.Errorf("--dir %w; mount the fleet's directory there", err)
		case !errors.Is(err, engine.ErrAway):
			return "", fmt.Errorf("--dir %s: %s%w", o.dir, inside(err), bare(err))
		}
	}
}

// inside names the file in the directory that an error is about; empty where there is none.
func inside(err error) string {
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		return filepath.Base(p.Path) + ": "
	}
	return ""
}

// bare leaves out of the error of a file its path, which an option has named, and what was
// called, which says nothing to people.
func bare(err error) error {
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
