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
	"mdalp/cmd/internal/progress"
	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/table"
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
	bad = blame(o.flags, bad)
	if bad != nil {
		s.print(ctx, o.only(), nil, bad)
		return bad
	}
	ctx, stop := cancelBySignal(ctx)
	defer stop()
	// Behind the checks, so that errors of the command line look the same in every format.
	s.watch = newWatcher(o)
	defer s.watch.stop()
	s.cfg.Logger, s.cfg.Progress, s.cfg.ProgressEvery = s.watch.log, s.watch.see, s.watch.every
	s.cfg.Trace = s.watch.trace()
	closeLog, err := o.openKeys(s.cfg)
	defer closeLog()
	var w *os.File
	if err == nil {
		w, err = o.openCapture(ctx, s.cfg)
	}
	if err = blame(o.flags, err); err != nil {
		s.print(ctx, o.only(), nil, err)
		return err
	}
	var until bound // of the file that is sent
	if w != nil {
		defer func() {
			closing, cancel := until.on(ctx, "the capture was written")
			defer cancel()
			closeCapture(closing, w, s.cfg)
		}()
	}

	// The greater code is the worse: see the table in main.go.
	worst := exitOK
	for i, file := range o.files {
		if i > 0 && ctx.Err() != nil {
			break
		}
		// The capabilities are needed until the last file's sockets are open.
		s.cfg.DropPrivileges = i == len(o.files)-1
		until = after(o.deadline)
		err := s.send(ctx, until, file)
		// main prints it, as it does for all commands. Of several, each is told here with its file.
		if err != nil && len(o.files) == 1 {
			return err
		} else if err != nil {
			fmt.Fprintf(stderr, "mdalp: %s\n", usage.Line(about(file, err)))
			worst = max(worst, exitCode(err))
			telling, cancel := until.on(ctx, "it was told")
			stderr.flush(telling)
			cancel()
		}
	}
	if worst != exitOK {
		return exited(worst)
	}
	return nil
}

// only is the file to send, or "" if there are several.
func (o *sendOptions) only() string {
	if len(o.files) == 1 {
		return o.files[0]
	}
	return ""
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
			if f := o.flags.Lookup("resume"); f.Changed && !o.extended.resume.off {
				return usage.Errorf("--resume %s: standard input cannot be resumed, give a file", f.Value)
			}
		}
	}
	return nil
}

// send sends one file and prints its result. The bars go first, so that the summary
// does not end up among them. The deadline is that of the file: it bounds all that is
// waited for, the opening of the file and the reader of the result among it.
func (s *sender) send(ctx context.Context, until bound, file string) error {
	report, err := s.transact(ctx, until, file)
	ctx, cancel := until.on(ctx, "the summary was written")
	defer cancel()
	s.watch.end(ctx, report)
	var wrong *mdalp.ConfigError
	switch {
	case errors.As(err, &wrong) && wrong.Field == "Receiver": // which only the offer tells
		err = usage.Errorf("-s %d: %w", s.o.server, wrong.Err)
	case errors.As(err, &wrong):
		err = usage.Errorf("%w", wrong.Err)
	// bind(2) says so of an address that this host does not have.
	case s.cfg.Bind.IsValid() && errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("--bind %s: this host has no such address: %w", s.o.bind, err)
	}
	if e := s.print(ctx, file, report, err); e != nil && err == nil {
		return fmt.Errorf("all was sent, but the summary could not be written to %w", e)
	}
	return err
}

// transact opens the file and sends it. There is no report when it did not come to
// that.
func (s *sender) transact(ctx context.Context, until bound, file string) (*mdalp.Report, error) {
	opening, cancel := until.on(ctx, "-f "+file+" was opened and read")
	defer cancel()
	p, err := openPayload(opening, file)
	if err != nil {
		return nil, err
	}
	// Behind Send, which reads of it until the last acknowledgement.
	defer p.Close()
	if !s.found {
		asking, cancel := until.on(ctx, "the address of -a "+s.o.addr+" was looked up")
		defer cancel()
		if err := s.o.resolve(asking, s.cfg); err != nil {
			return nil, err
		}
		s.found = true
	}
	s.watch.begin(file, p, s.cfg)
	s.cfg.Deadline = until.left()
	s.cfg.Name = title(file)
	k := s.resume(file, p)
	report, err := mdalp.Send(ctx, p, p.size, s.cfg)
	if e := k.end(over(err)); e != nil {
		s.watch.log.Warn("the record of this transfer could not be written", "err", usage.File(e))
	}
	return report, err
}

// print writes the result of one file to standard output: JSON, also of what never
// began, or the summary.
func (s *sender) print(ctx context.Context, file string, r *mdalp.Report, err error) error {
	var text bytes.Buffer
	switch {
	case s.o.json || s.o.jsonStream:
		if e := shape.Encode(&text, shape.NewResult(newHead(shape.SendSchema, err), file, r)); e != nil {
			return e
		}
	case r == nil || s.o.quiet || usage.Is(err) || r.Phase != mdalp.PhaseFinished: // no socket, no session
		return nil
	default:
		if len(s.o.files) > 1 {
			fmt.Fprintf(&text, "%s:\n", usage.Text(file))
		}
		table.Summarize(&text, r, err, progress.Width(os.Stdout),
			s.o.verbose > 0 && s.o.logFormat != "original")
	}
	return deliver(ctx, text.Bytes())
}
