package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"mdalp"
	"mdalp/cmd/internal/progress"
	"mdalp/cmd/internal/shape"
)

// lookEvery is how often the session tells how far it is where there are no bars: as often
// as a signal is answered.
const lookEvery = 250 * time.Millisecond

// A watcher shows a transfer while it goes on: as bars, lines, events, a table on
// demand, or the lines of the original client. The session calls it, in the loop's
// goroutine, which must not wait for an output: text goes by way of stderr, bars are
// painted by a goroutine of their own, and events wait for their reader in the stream.
type watcher struct {
	log      *slog.Logger
	every    time.Duration
	on       *asked
	bars     *progress.Screen  // the rest is nil where it is not wanted
	painter  *progress.Painter // while a file is sent
	lines    *progress.Lines
	stream   *shape.Stream
	original *original
}

// newWatcher decides what is shown. Without a terminal, standard error stays empty
// unless something is asked for: it may well be a log file or cron's mail. Only
// --progress auto looks at the terminal; plain and off are obeyed as they are.
func newWatcher(o *sendOptions) *watcher {
	w := &watcher{every: lookEvery, on: newAsked()}
	verbose := o.verbosity()
	bars := o.progress == "auto" && !o.quiet && progress.Paintable(os.Stderr)
	if o.jsonStream && progress.IsTerminal(os.Stdout) {
		bars = false // events and bars would write over each other
	}
	if bars {
		w.bars = progress.NewScreen(os.Stderr)
		// All that is written from now on passes by the bars, which make room for it.
		w.every = progress.PaintEvery
	}
	minimum := level(verbose)
	var h slog.Handler
	if o.logFormat == "original" {
		w.original = &original{w: stderr, level: minimum, options: o}
		h = w.original
	} else {
		h = newHandler(stderr, o.logFormat, minimum)
	}
	to := io.Writer(os.Stderr)
	if bars {
		to = w.bars
	}
	stderr.pass(to, func(n int) string { return gap(o, n) })
	w.log = slog.New(h)
	if !o.quiet && (o.progress == "plain" || o.progress == "auto" && !bars && verbose > 0) {
		w.lines = progress.NewLines(h)
	}
	if o.jsonStream {
		w.stream = shape.NewStream(os.Stdout, await)
	}
	return w
}

// gap is the log line that stands where n lines are missing.
func gap(o *sendOptions, n int) string {
	var b strings.Builder
	var h slog.Handler = &original{w: &b, level: slog.LevelWarn, options: o}
	if o.logFormat != "original" {
		h = newHandler(&b, o.logFormat, slog.LevelWarn)
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines are missing here: nobody took them in time", 0)
	r.AddAttrs(slog.Int("lines", n))
	h.Handle(context.Background(), r)
	return b.String()
}

// begin starts over with another file.
func (w *watcher) begin(file string, p *payload, c *mdalp.Config) {
	if w.bars != nil {
		w.bars.Begin()
		w.painter = progress.NewPainter(w.bars)
	}
	if w.lines != nil {
		w.lines.Begin()
	}
	if w.stream != nil {
		w.stream.Begin(file, p.size, c)
	}
	if w.original != nil {
		w.original.begin(file, p, c)
	}
}

// trace is the session's Trace, or nil.
func (w *watcher) trace() *mdalp.Trace {
	if w.original == nil {
		return nil
	}
	return w.original.trace()
}

// see is the session's Progress.
func (w *watcher) see(r *mdalp.Report) {
	w.on.report(r)
	if w.original != nil {
		w.original.see(r)
	}
	if w.stream != nil {
		w.stream.See(r)
	}
	if w.lines != nil {
		w.lines.See(r)
	}
	if w.painter != nil {
		w.painter.See(r)
	}
}

// end takes the bars away, and tells what is left, to outputs that are waited for until
// ctx ends. report is nil if nothing was sent.
func (w *watcher) end(ctx context.Context, report *mdalp.Report) {
	if w.painter != nil {
		await(ctx, w.painter.End())
		w.painter = nil
	}
	if w.stream != nil && report != nil {
		w.stream.End(ctx, report)
	}
	if w.original != nil && report != nil {
		w.original.end(report)
	}
	stderr.flush(ctx)
}

// stop gives the signals back.
func (w *watcher) stop() { w.on.stop() }
