package status

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"mdalp/cmd/internal/usage"
)

// Port is where the page is when none is named.
const Port = 8650

// unixPrefix stands before the path of a Unix socket.
const unixPrefix = "unix:"

// Options are those of the command line.
type Options struct {
	// Addr is ADDR[:PORT] or unix:PATH; empty is nowhere.
	Addr string
	// Hosts are names that a request may ask for, beside those of the address.
	Hosts []string
	// Profiles serves Go's profiles too.
	Profiles bool
}

// Flags adds them to a command.
func (o *Options) Flags(f *pflag.FlagSet) {
	f.StringVar(
		&o.Addr,
		"http",
		"",
		"status page, JSON and metrics at this address and port, such as 127.0.0.1:8650, "+
			"or unix:PATH for a Unix socket (default: none)",
	)
	f.StringSliceVar(
		&o.Hosts,
		"http-host",
		nil,
		"host names by which the status page may be asked for (default: localhost and the address of --http)",
	)
	f.BoolVar(&o.Profiles, "http-pprof", false, "serve Go's profiles at /debug/pprof, too")
}

// Check refuses what makes no sense, with an error of the command line.
func (o *Options) Check() error {
	if o.Addr == "" {
		switch {
		case len(o.Hosts) > 0:
			return usage.Errorf("--http-host: there is no status page without --http")
		case o.Profiles:
			return usage.Errorf("--http-pprof: there is no status page without --http")
		}
		return nil
	}
	for _, h := range o.Hosts {
		if h == "" || strings.ContainsAny(h, "/: \t\r\n") && !isAddr(h) {
			return usage.Errorf("--http-host %s: give a name or an address, without a port", usage.Shown(h))
		}
	}
	if path, ok := strings.CutPrefix(o.Addr, unixPrefix); ok {
		if path == "" {
			return usage.Errorf("--http unix: the path of the socket is missing")
		}
		return nil
	}
	_, err := o.addr()
	return err
}

func isAddr(s string) bool { _, err := netip.ParseAddr(s); return err == nil }

// addr reads ADDR, ADDR:PORT or :PORT. localhost is 127.0.0.1.
func (o *Options) addr() (netip.AddrPort, error) {
	wrong := func(why string) (netip.AddrPort, error) {
		return netip.AddrPort{}, usage.Errorf("--http %s: %s", usage.Shown(o.Addr), why)
	}
	host, port := o.Addr, ""
	if !isAddr(host) && host != "localhost" {
		var err error
		if host, port, err = net.SplitHostPort(o.Addr); err != nil {
			return wrong("it is ADDR:PORT or unix:PATH")
		}
	} else {
		port = fmt.Sprint(Port)
	}
	switch host {
	case "":
		host = "::"
	case "localhost":
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return wrong(fmt.Sprintf("%q is no address", host))
	}
	// Without its own look at the port, "http" would be one.
	ap, err := netip.ParseAddrPort(net.JoinHostPort(a.String(), port))
	if err != nil || ap.Port() == 0 {
		return wrong(fmt.Sprintf("port %q: it is 1 to 65535", port))
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

// private reports whether nobody on another host can reach the page by itself.
func (o *Options) private() bool {
	a, err := o.addr()
	return strings.HasPrefix(o.Addr, unixPrefix) || err == nil && a.Addr().IsLoopback()
}

// listener opens the socket.
func (o *Options) listener() (net.Listener, error) {
	if path, ok := strings.CutPrefix(o.Addr, unixPrefix); ok {
		l, err := local(path)
		if err != nil {
			return nil, fmt.Errorf("--http %s: %w", o.Addr, err)
		}
		return l, nil
	}
	a, err := o.addr()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", a.String())
	if errors.Is(err, syscall.EAFNOSUPPORT) && strings.HasPrefix(o.Addr, ":") {
		// A kernel without IPv6, and all addresses that there are were asked for.
		l, err = net.Listen("tcp4", netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port()).String())
	}
	if err != nil {
		return nil, fmt.Errorf("--http %s: %w%s", o.Addr, short(err), advice(err))
	}
	return l, nil
}

// local opens a Unix socket (unix(7)) that its user and group may use. A file of a process
// that is gone is in nobody's way.
func local(path string) (net.Listener, error) {
	// The kernel's own words for it are "invalid argument".
	if n := len(syscall.RawSockaddrUnix{}.Path); len(path) >= n {
		return nil, fmt.Errorf("a path of %d bytes: %d are the most for a Unix socket", len(path), n-1)
	}
	switch is, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, usage.File(err)
	case is.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("there is a file of that name that is no socket")
	default:
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			c.Close()
			return nil, errors.New("another program serves that socket, choose another one")
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, short(err)
		}
		if err := os.Remove(path); err != nil {
			return nil, usage.File(err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, short(err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, usage.File(err)
	}
	return l, nil
}

// short leaves out of an error of a socket what the option beside it says already.
func short(err error) error {
	var e *net.OpError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// advice says what to do about it.
func advice(err error) string {
	return cmp.Or(
		told(err, syscall.EADDRINUSE, ": another program has the port, choose another one"),
		told(err, syscall.EADDRNOTAVAIL, ": this host has no such address"),
		told(err, syscall.EACCES, ": ports below 1024 are root's"),
	)
}

func told(err error, is syscall.Errno, what string) string {
	if errors.Is(err, is) {
		return what
	}
	return ""
}
