package progress

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mdalp"
	"mdalp/cmd/internal/table"
)

// The time between two lines of progress.
const (
	lineFirst = 2 * time.Second
	lineMost  = time.Minute
)

// Rarely tells when a line of progress is due: after 2 s, and after twice the time each
// time, so that an hour leaves some sixty lines and not thousands.
type Rarely struct {
	gap, next time.Duration // next is since the beginning
}

// Due reports whether one is, elapsed after the beginning.
func (r *Rarely) Due(elapsed time.Duration) bool {
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

// Lines writes a log line of progress now and then.
type Lines struct {
	to    slog.Handler
	rare  Rarely
	speed speed
}

// NewLines writes to a handler.
func NewLines(to slog.Handler) *Lines { return &Lines{to: to} }

// Begin starts over with another transfer.
func (l *Lines) Begin() { *l = Lines{to: l.to} }

// See writes a line if it is time.
func (l *Lines) See(r *mdalp.Report) {
	l.speed.see(r)
	if r.Phase == mdalp.PhaseFinished || !l.rare.Due(r.Elapsed) {
		return
	}
	// Straight to the handler: --progress plain wants them without -v as well.
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "progress", 0)
	line.AddAttrs(slog.String("phase", r.Phase.String()),
		slog.Duration("elapsed", r.Elapsed.Round(time.Millisecond)))
	if r.Phase == mdalp.PhaseSending {
		unit := "segments_per_second"
		if r.Extended {
			unit = "bytes_per_second"
		}
		line.AddAttrs(slog.Int64("acknowledged_bytes", r.Acked), slog.Int64("bytes", r.Size),
			slog.Int64(unit, int64(l.speed.rate+0.5)), slog.Int64("resent", r.Resent()),
			slog.String("eta", eta(r, l.speed.rate)))
	}
	l.to.Handle(context.Background(), line)
}

// A speed is how fast things go, smoothed over two seconds or so: segments that are
// acknowledged in the base protocol; bytes in the extended one, whose segments have any size.
type speed struct {
	rate  float64 // a second
	tid   int64   // the transaction's
	acked int64
	at    time.Duration
}

// see takes the next report.
func (p *speed) see(r *mdalp.Report) {
	// There is no speed before the split.
	if r.Segments == 0 {
		return
	}
	// Begun again, with nothing acknowledged.
	if r.TID != p.tid {
		*p = speed{tid: r.TID}
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
