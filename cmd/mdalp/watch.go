package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"mdalp"
	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/table"
)

// How often the session tells how far it is: often enough for the eye where there
// are bars, else as often as a signal is answered.
const (
	paintEvery = 100 * time.Millisecond
	lookEvery  = 250 * time.Millisecond
)

// A watcher shows a transfer while it goes on: as bars, lines, events, a table on
// demand, or the lines of the original client. The session calls it, in the loop's
// goroutine, which must not wait for an output: text goes by way of stderr, bars are
// painted by a goroutine of their own, and events wait for their reader in the stream.
type watcher struct {
	log      *slog.Logger
	every    time.Duration
	on       *asked
	bars     *screen  // the rest is nil where it is not wanted
	painter  *painter // while a file is sent
	lines    *lines
	stream   *shape.Stream
	original *original
}

// newWatcher decides what is shown. Without a terminal, standard error stays empty
// unless something is asked for: it may well be a log file or cron's mail. Only
// --progress auto looks at the terminal; plain and off are obeyed as they are.
func newWatcher(o *sendOptions) *watcher {
	w := &watcher{every: lookEvery, on: newAsked()}
	verbose := o.verbosity()
	bars := o.progress == "auto" && !o.quiet && paintable(os.Stderr)
	if o.jsonStream && isTerminal(os.Stdout) {
		bars = false // events and bars would write over each other
	}
	if bars {
		w.bars = newScreen(os.Stderr)
		// All that is written from now on passes by the bars, which make room for it.
		w.every = paintEvery
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
		w.lines = &lines{to: h}
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

// begin starts over with another file. Times in reports count from the beginning of a
// transfer, so a rate of the last file must not stay.
func (w *watcher) begin(file string, p *payload, c *mdalp.Config) {
	if w.bars != nil {
		w.bars.pace, w.bars.last = pace{}, 0
		w.painter = newPainter(w.bars)
	}
	if w.lines != nil {
		*w.lines = lines{to: w.lines.to}
	}
	if w.stream != nil {
		w.stream.Begin(file, p.size, c)
	}
	if w.original != nil {
		w.original.begin(file, p, c)
	}
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
		w.lines.see(r)
	}
	if w.painter != nil {
		w.painter.see(r)
	}
}

// end takes the bars away, and tells what is left, to outputs that are waited for until
// ctx ends. report is nil if nothing was sent.
func (w *watcher) end(ctx context.Context, report *mdalp.Report) {
	if w.painter != nil {
		await(ctx, w.painter.end())
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

// The time between two lines of progress.
const (
	lineFirst = 2 * time.Second
	lineMost  = time.Minute
)

// rarely tells when a line of progress is due: after 2 s, and after twice the time each
// time, so that an hour leaves some sixty lines and not thousands.
type rarely struct {
	gap, next time.Duration // next is since the beginning
}

// due reports whether one is, elapsed after the beginning.
func (r *rarely) due(elapsed time.Duration) bool {
	if r.gap == 0 {
		r.gap, r.next = lineFirst, lineFirst
	}
	if elapsed < r.next {
		return false
	}
	r.gap = min(2*r.gap, lineMost)
	r.next = elapsed + r.gap
	return true
}

// lines writes a log line of progress now and then.
type lines struct {
	to   slog.Handler
	rare rarely
	pace pace
}

// see writes a line if it is time.
func (l *lines) see(r *mdalp.Report) {
	l.pace.see(r)
	if r.Phase == mdalp.Finished || !l.rare.due(r.Elapsed) {
		return
	}
	// Straight to the handler: --progress plain wants them without -v as well.
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "progress", 0)
	line.AddAttrs(slog.String("phase", r.Phase.String()), slog.Duration("elapsed", r.Elapsed.Round(time.Millisecond)))
	if r.Phase == mdalp.Sending {
		unit := "segments_per_second"
		if r.Extended {
			unit = "bytes_per_second"
		}
		line.AddAttrs(slog.Int64("acknowledged_bytes", r.Acked), slog.Int64("bytes", r.Size),
			slog.Int64(unit, int64(l.pace.rate+0.5)), slog.Int64("resent", r.Resent()), slog.String("eta", eta(r, l.pace.rate)))
	}
	l.to.Handle(context.Background(), line)
}

// A pace is how fast things go, smoothed over two seconds or so: segments that are
// acknowledged in the base protocol; bytes in the extended one, whose segments have any size.
type pace struct {
	rate  float64 // a second
	acked int64
	at    time.Duration
}

// see takes the next report.
func (p *pace) see(r *mdalp.Report) {
	// There is no speed before the split.
	if r.Segments == 0 {
		return
	}
	acked := r.Segments - r.Left
	if r.Extended {
		acked = r.Acked
	}
	// Reports at a change of phase come right behind another: a rate over so short a time says
	// nothing.
	if dt := (r.Transfer - p.at).Seconds(); dt >= 0.05 {
		now := float64(acked-p.acked) / dt
		if p.at == 0 {
			p.rate = now
		}
		p.rate += (now - p.rate) * dt / (dt + 2)
		p.acked, p.at = acked, r.Transfer
	}
}

// eta says when the last receiver will be done, by what each did so far, or "?" as long
// as one of them did nothing. Receivers work side by side, so it is the slowest one's
// time and not the sum. The dead are not waited for. In the extended protocol whoever is
// done helps the others, and the bytes that are left come at the rate of all.
func eta(r *mdalp.Report, rate float64) string {
	var last time.Duration
	if r.Extended {
		if rate < 1 {
			return "?"
		}
		return remains(time.Duration(min(float64(r.Size-r.Acked)/rate, 1e9) * 1e9))
	}
	for i := range r.Receivers {
		x := &r.Receivers[i]
		left := table.Remaining(x)
		if left == 0 || x.Err != nil {
			continue
		}
		if x.Acked == 0 {
			return "?"
		}
		last = max(last, time.Duration(float64(r.Transfer)*float64(left)/float64(x.Acked)))
	}
	return remains(last)
}

// remains writes the time until the end.
func remains(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
