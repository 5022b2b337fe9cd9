package sched

import (
	"strings"
	"testing"
)

// TestAudit breaks a transfer in every way that the audit knows, and expects it
// to say so.
func TestAudit(t *testing.T) {
	// Receiver 0 has a segment out and 9 waiting, receiver 1 may send, receiver 2 is
	// dead and has handed on what it had.
	start := func() *Transfer {
		tr := NewTransfer(epoch, []int64{1000, 950, 300}, TransferConfig{Outstanding: 2, Tries: 3})
		tr.Kill(at(0), 2, ErrTries)
		tr.cfg.Outstanding = 1
		tr.Transmit(at(0))
		tr.cfg.Outstanding = 2
		return tr
	}
	if err := start().Audit(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want  string
		spoil func(*Transfer)
	}{
		{"timer armed false", func(tr *Transfer) { tr.wheel.Stop(0) }},
		{"timer armed true", func(tr *Transfer) { tr.wheel.Arm(1, at(9)) }},
		{"dead and has a segment out", func(tr *Transfer) { tr.to[0].stats.Err = ErrTries }},
		{"out after 0 tries", func(tr *Transfer) { tr.to[0].tries = 0 }},
		{"tries of 3", func(tr *Transfer) { tr.to[1].tries = 4 }},
		{"does not go on", func(tr *Transfer) { tr.to[2].rest = []Span{{Seq: 1, End: 2, Lim: 1}} }},
		{"not in the ring", func(tr *Transfer) { tr.to[1].queued = false }},
		{"carry bytes", func(tr *Transfer) { tr.to[1].span.Off += 100 }},
		{"run", func(tr *Transfer) { tr.to[1].rest = []Span{{}} }},
		{"keeps 1 segments", func(tr *Transfer) { tr.to[2].span = Span{Seq: 20, End: 21, Off: 1950, Lim: 2050} }},
		{"are remembered", func(tr *Transfer) { tr.to[0].past = make([]Span, 24) }},
		{"counted are 2", func(tr *Transfer) { tr.out++ }},
		{"allowed are", func(tr *Transfer) { tr.Transmit(at(1)); tr.cfg.Outstanding = 1 }},
		{"live", func(tr *Transfer) { tr.living++ }},
		{"stand in the ring, which has", func(tr *Transfer) { tr.waiting-- }},
		{"counted are 22 left", func(tr *Transfer) { tr.left-- }},
		{"does not know it", func(tr *Transfer) { tr.ready[tr.head] = 0 }},
	} {
		t.Run(c.want, func(t *testing.T) {
			tr := start()
			c.spoil(tr)
			if err := tr.Audit(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v", err)
			}
		})
	}
}
