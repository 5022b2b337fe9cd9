package loop

import (
	"testing"
	"time"
)

// When the loop is about to sleep, it looks away where what came last is a part of much that
// comes soon, in turns with the usual way until one of them has proved faster.
func TestLookAway(t *testing.T) {
	const none = -1
	usual := func() *runner {
		r := &runner{bulk: true, poll: &poller{busy: true}, now: time.Now(), got: 1}
		r.coalesce.trial = trial{turn: 1, left: turnRounds} // the turn that tries it
		return r
	}
	for _, tt := range []struct {
		name   string
		change func(r *runner)
		gap, d time.Duration
		want   bool
	}{
		{"bulk", nil, coalesceWithin, none, true},
		{"a timer is far", nil, 0, coalesceWithin, true},
		{"a timer is near", nil, 0, coalesceWithin - 1, false},
		{"far between", nil, coalesceWithin + 1, none, false},
		{"small datagrams", func(r *runner) { r.bulk = false }, 0, none, false},
		{"long waits", func(r *runner) { r.poll.busy = false }, 0, none, false},
		{"the other's turn", func(r *runner) { r.coalesce.trial.turn = 0 }, 0, none, false},
		{"it was slower", func(r *runner) { r.coalesce.trial.turn = 2 * turns }, 0, none, false},
		{"it was faster", func(r *runner) { r.coalesce.trial = trial{turn: 2 * turns, left: 9, won: true} }, 0, none, true},
		{"nothing came the last time", func(r *runner) { r.coalesce.away, r.coalesce.got = true, r.got }, 0, none, false},
		{"something came the last time", func(r *runner) { r.coalesce.away = true }, 0, none, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := usual()
			if tt.change != nil {
				tt.change(r)
			}
			if got := r.lookAway(tt.gap, tt.d); got != tt.want {
				t.Errorf("it looks away: %v, %v wanted", got, tt.want)
			}
		})
	}
}
