package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mdalp/cmd/internal/asyncio"
	"mdalp/cmd/internal/usage"
	"mdalp/loop"
	"mdalp/server"
)

// reported is the error of a start that would fail. What it is has been said.
type reported struct{ error }

// Unwrap gives the first of the errors, which tells the exit code.
func (r reported) Unwrap() error { return r.error }

// newCheck is the command that tries what a start would do.
func newCheck(errs *asyncio.Writer) *cobra.Command {
	o := options{errs: errs}
	c := &cobra.Command{
		Use:   "check",
		Short: "Tell what a start would do, or why it would fail",
		Long: `Tell what a start with the same options and the same environment would do: where it listens,
what it offers, what is in the store, and its limits. Ports are opened and closed again. In the
store one file is written, flushed and removed; else it stays as it is. A server may run
meanwhile; then it is said that it has the ports and the store.

The exit code is 0 if a start would succeed, and else that of the start; each line on standard
error then says what is wrong.`,
		Example: `  mdalpd check --store /var/lib/mdalpd --receivers 192.0.2.1,192.0.2.2`,
		Args: func(_ *cobra.Command, a []string) error {
			if len(a) > 0 {
				return usage.Errorf("check: unexpected argument %q", a[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return o.given(c, func(context.Context) error {
				t := &trial{o: &o, flags: c}
				return t.run()
			})
		},
	}
	o.define(c.Flags())
	return c
}

// A trial is a start that is tried.
type trial struct {
	o     *options
	flags *cobra.Command
	out   strings.Builder // what a start would do
	first error           // that would end it
}

// run tries all, prints what came of it, and gives the first error that a start would end by.
func (t *trial) run() error {
	o := t.o
	for _, m := range o.mistyped {
		t.note("the variable %s means nothing here: is %s meant?", usage.Text(m.Name), m.Meant)
	}
	cfg, listen, err := o.plan(slog.New(slog.DiscardHandler))
	if err != nil {
		return err // the rest depends on it
	}
	in, err := inherit()
	if err != nil {
		return err
	}
	socks, err := open(in, listen, cfg.Receivers)
	if t.failed(taken(err)) {
		t.say("ports", "cannot be opened")
	}
	if err == nil {
		t.ports(&cfg, socks)
	}
	if why := narrow(&cfg); why != "" {
		t.note("--receivers: %s", why)
	}
	t.store(&cfg, len(socks))
	t.say("limits", "%d transactions at once, %d intents that wait, "+
		"%v for each transaction of the base protocol, %v of silence for extended ones",
		cfg.Concurrent, o.queue, o.limit, o.silence)
	if o.sealed != nil {
		others := "intents without a key are taken too"
		if o.requireKey {
			others = "intents without a key are dropped"
		}
		t.say("keys", "%s; %s", keyed(o.sealed), others)
	}
	if cfg.Expect != nil {
		t.say("expects", "%s, %d bytes, sha256 %x", usage.Text(o.expect), cfg.Expect.Size, cfg.Expect.SHA256)
	}
	if t.first == nil {
		t.say("result", "a start would succeed")
	} else {
		t.say("result", "a start would fail")
	}
	if _, err := os.Stdout.WriteString(t.out.String()); err != nil {
		return err
	}
	if t.first != nil {
		return reported{t.first}
	}
	return nil
}

// say adds a line of what a start would do.
func (t *trial) say(what, format string, args ...any) {
	fmt.Fprintf(&t.out, "%-10s %s\n", what, fmt.Sprintf(format, args...))
}

// note writes what is no error, and had better be seen to.
func (t *trial) note(format string, args ...any) {
	fmt.Fprintf(t.o.errs, "mdalpd: %s\n", fmt.Sprintf(format, args...))
}

// failed writes an error, if there is one, that a start would end by.
func (t *trial) failed(err error) bool {
	if err == nil {
		return false
	}
	err = variables.Blame(t.flags.Flags(), err)
	t.note("%s", usage.Line(err))
	if t.first == nil {
		t.first = err
	}
	return true
}

// ports tells of sockets that could be opened, and closes them.
func (t *trial) ports(cfg *server.Config, socks []*loop.Socket) {
	t.say("listens", "%v for intents", socks[0].LocalAddr())
	for i := range cfg.Receivers {
		r := &cfg.Receivers[i]
		t.say("offers", "%v %s, by the socket of %v", r.Addr, usage.Text(r.Name), socks[r.Sock].LocalAddr())
	}
	least := 0
	for _, k := range socks {
		if n := k.ReceiveBuffer(); least == 0 || n < least {
			least = n
		}
		k.Close()
	}
	holds := server.Window(least, cfg.Segment)
	if cfg.Base {
		t.say("buffer", "%d bytes to receive", least)
		return
	}
	t.say("buffer", "%d bytes to receive, which hold %d segments of %d bytes", least, holds, cfg.Segment)
	if cfg.Window > holds {
		t.note("%s %d: the receive buffer of %d bytes holds %d segments of %d bytes, more may be lost: "+
			"raise net.core.rmem_max, or leave it out",
			variables.Given(t.flags.Flags().Lookup("window")), cfg.Window, least, holds, cfg.Segment)
	}
}

// store tells of the directory for the payloads, and of the files that may be open.
func (t *trial) store(cfg *server.Config, socks int) {
	o := t.o
	if o.store == "" {
		t.say("store", "none: payloads are received, and not kept")
		return
	}
	asked := cfg.Concurrent
	if !t.failed(o.descriptors(cfg, max(1, socks))) && cfg.Concurrent < asked {
		t.note("few open files are allowed (ulimit -n): %d transactions at once instead of %d",
			cfg.Concurrent, asked)
	}
	name := usage.Text(o.store)
	if _, err := os.Stat(o.store); errors.Is(err, fs.ErrNotExist) {
		if err := makeable(o.store); err != nil {
			t.failed(o.unusable(err))
		} else {
			t.say("store", "%s, which would be made", name)
		}
		return
	}
	room, err := server.Try(o.store, o.dirOptions())
	switch {
	case err != nil:
		t.failed(o.unusable(err))
	case room < 0:
		t.say("store", "%s, without a bound", name)
	case room < server.DefaultRoomPerOffer:
		t.say("store", "%s, full: intents would wait", name)
		t.note("%s %s: room for %d bytes of payload is left, and intents wait from %d on: "+
			"make room, or raise --store-bytes",
			variables.Given(t.flags.Flags().Lookup("store")), name, room, server.DefaultRoomPerOffer)
	default:
		t.say("store", "%s, room for about %d bytes of payload", name, room)
	}
	t.contents(err == nil)
}

// contents tells what the store has, and where it is usable, what of it is not.
func (t *trial) contents(usable bool) {
	es, err := server.List(t.o.store)
	if err != nil {
		return // which has been said
	}
	var n [server.Unfinished + 1]int
	var bytes [server.Unfinished + 1]int64
	for i := range es {
		n[es[i].Kind]++
		bytes[es[i].Kind] += es[i].Bytes
		if es[i].Err != nil && usable {
			t.note("%s cannot be read, and stays as it is: %s",
				usage.Text(es[i].Files[0]), usage.Line(es[i].Err))
		}
	}
	for k := range n {
		if n[k] > 0 {
			t.say("holds", "%d %v, %d bytes", n[k], server.Kind(k), bytes[k])
		}
	}
	if len(es) == 0 {
		t.say("holds", "nothing")
	}
}

// makeable tells whether a directory that is not there could be made, and makes none.
func makeable(dir string) error {
	for {
		// A link that leads nowhere is in the way.
		if _, err := os.Lstat(dir); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		dir = filepath.Dir(dir)
	}
	is, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !is.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}

// taken adds to the error of a port which program has it, as far as that can be known.
func taken(err error) error {
	var p *portError
	if errors.As(err, &p) && errors.Is(err, syscall.EADDRINUSE) {
		if who := holder(p.addr); who != "" {
			return fmt.Errorf("%w (%s)", err, who)
		}
	}
	return err
}

// narrow says why clients cannot use the extended protocol, if they cannot.
func narrow(cfg *server.Config) string {
	if extends, room := cfg.Extends(); !cfg.Base && !extends {
		return fmt.Sprintf("an offer of %d receivers has no room for the extended protocol, "+
			"which is the quick one: give %d of them at most, or --base", len(cfg.Receivers), room)
	}
	return ""
}
