package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"mdalp"
	"mdalp/cmd/internal/usage"
)

// A sender sends the files of one command line, one transaction each.
type sender struct {
	o     *sendOptions
	cfg   *mdalp.Config
	watch *watcher
	// One look-up for all files: a name with several addresses must not lead elsewhere in the
	// middle.
	found bool // the orchestrator's address is known
}

// run sends the files and prints the results. bad is what was wrong with the command
// line so far; it is told here because --json wants it on standard output too.
func (o *sendOptions) run(ctx context.Context, bad error) error {
	// A pipe that nobody reads any more is no reason to stop sending.
	signal.Ignore(syscall.SIGPIPE)
	// A transfer allocates only as it begins: 2 MB for a thousand receivers. No
	// collection below 16 MiB means none during it.
	debug.SetGCPercent(400)
	s := &sender{o: o}
	if bad == nil {
		bad = o.check()
	}
	if bad == nil {
		s.cfg, bad = o.config()
	}
	if bad == nil {
		bad = o.openCapture(s.cfg)
	}
	if bad != nil {
		file := ""
		if len(o.files) == 1 {
			file = o.files[0]
		}
		s.print(file, nil, bad)
		return bad
	}
	defer closeCapture(s.cfg)
	ctx, stop := cancelBySignal(ctx)
	defer stop()
	// Behind the checks, so that errors of the command line look the same in every format.
	s.watch = newWatcher(o)
	defer s.watch.stop()
	s.cfg.Logger, s.cfg.Progress, s.cfg.ProgressEvery = s.watch.log, s.watch.see, s.watch.every

	// The greater code is the worse: see the table in main.go.
	worst := exitOK
	for i, file := range o.files {
		if i > 0 && ctx.Err() != nil {
			break
		}
		// The capabilities are needed until the last file's sockets are open.
		s.cfg.DropPrivileges = i == len(o.files)-1
		err := s.send(ctx, file)
		// main prints it, as it does for all commands. Of several, each is told here with its file.
		if err != nil && len(o.files) == 1 {
			return err
		} else if err != nil {
			fmt.Fprintf(os.Stderr, "mdalp: %s\n", usage.Line(about(file, err)))
			worst = max(worst, exitCode(err))
		}
	}
	if worst != exitOK {
		return exited(worst)
	}
	return nil
}

// about puts the file in front of an error that does not begin with it.
func about(file string, err error) error {
	if strings.HasPrefix(err.Error(), "-f "+file) {
		return err
	}
	return fmt.Errorf("-f %s: %w", file, err)
}

// check looks at what send alone has.
func (o *sendOptions) check() error {
	switch {
	case o.progress != "auto" && o.progress != "plain" && o.progress != "off":
		return usage.Errorf("--progress %s: it is auto, plain or off", usage.Shown(o.progress))
	case o.logFormat != "text" && o.logFormat != "json" && o.logFormat != "original":
		return usage.Errorf("--log-format %s: it is text, json or original", usage.Shown(o.logFormat))
	}
	stdin := 0
	for _, f := range o.files {
		switch f {
		case "":
			return usage.Errorf("-f: the file's name is empty")
		case "-":
			if stdin++; stdin > 1 {
				return usage.Errorf("-f -: standard input can be sent only once")
			}
		}
	}
	return nil
}

// send sends one file and prints its result. The bars go first, so that the summary
// does not end up among them.
func (s *sender) send(ctx context.Context, file string) error {
	report, err := s.transact(ctx, file)
	s.watch.end(report)
	switch {
	case errors.Is(err, mdalp.ErrConfig): // all else of it was checked before
		err = usage.Errorf("-s %d: %s", s.o.server, strings.TrimPrefix(err.Error(), mdalp.ErrConfig.Error()+": "))
	// bind(2) says so of an address that this host does not have.
	case s.cfg.Bind.IsValid() && errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("--bind %s: this host has no such address: %w", s.o.bind, err)
	}
	if e := s.print(file, report, err); e != nil && err == nil {
		return fmt.Errorf("all was sent, but the summary could not be written to standard output: %w", usage.File(e))
	}
	return err
}

// transact opens the file and sends it. There is no report when it did not come to
// that.
func (s *sender) transact(ctx context.Context, file string) (*mdalp.Report, error) {
	p, err := openPayload(ctx, file)
	if err != nil {
		return nil, err
	}
	// Behind Send, which reads of it until the last acknowledgement.
	defer p.Close()
	if !s.found {
		if err := s.o.resolve(ctx, s.cfg); err != nil {
			return nil, err
		}
		s.found = true
	}
	s.watch.begin(file, p, s.cfg)
	return mdalp.Send(ctx, p, p.size, s.cfg)
}

// print writes the result of one file to standard output: JSON, also of what never
// began, or the summary. To a pipe that nobody reads, it is not an error.
func (s *sender) print(file string, r *mdalp.Report, err error) error {
	var text bytes.Buffer
	switch {
	case s.o.json || s.o.jsonStream:
		if e := encode(&text, newResult(file, r, err)); e != nil {
			return e
		}
	case r == nil || s.o.quiet || usage.Is(err) || r.Phase != mdalp.Finished: // no socket, no session
		return nil
	default:
		if len(s.o.files) > 1 {
			fmt.Fprintf(&text, "%s:\n", usage.Text(file))
		}
		summarize(&text, r, width(os.Stdout))
	}
	if _, e := os.Stdout.Write(text.Bytes()); !errors.Is(e, syscall.EPIPE) {
		return e
	}
	return nil
}
