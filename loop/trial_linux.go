package loop

import "time"

// A trial finds out which of two ways to wait costs less time for a datagram: the usual one, to
// sleep, or another. The two take turns for a while, and the better one goes on for longer; a
// stranger's work in between spoils one turn of several.
type trial struct {
	turn  int              // 0 to 2·turns-1 are the turns, odd ones the other way; then what was found
	left  int              // rounds left of it
	start time.Time        // of the turn
	got   uint64           // datagrams until then
	cost  [2]time.Duration // of 1024 datagrams, in the best turn of each way
	won   bool             // the other way was better
}

const (
	turns      = 3         // each way
	turnRounds = 128       // in a turn
	trialLasts = 128 * 128 // rounds until the next one
)

// round takes the instant and the number of datagrams received so far, and reports
// whether to go the other way.
func (t *trial) round(now time.Time, got uint64) bool {
	if t.left--; t.left < 0 {
		t.next(now, got)
	}
	if t.turn < 2*turns {
		return t.turn%2 == 1
	}
	return t.won
}

// next ends a turn.
func (t *trial) next(now time.Time, got uint64) {
	if n := got - t.got; t.turn < 2*turns && n > 0 && !t.start.IsZero() {
		c := now.Sub(t.start) * 1024 / time.Duration(n)
		if best := &t.cost[t.turn%2]; *best == 0 || c < *best {
			*best = c
		}
		t.turn++
	} else {
		t.turn, t.cost = 0, [2]time.Duration{}
	}
	t.left, t.start, t.got = turnRounds-1, now, got
	if t.turn == 2*turns {
		t.won = t.cost[1] < t.cost[0]
		t.left = trialLasts - 1
	}
}
