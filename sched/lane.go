package sched

import "time"

// A lane is one receiver of an extended transfer.
type lane struct {
	flight   flight
	recovery recovery
	control  controller
	pacer    pacer

	claim int64 // segments that it is to take from the pool
	fresh runs  // its block: never sent
	again runs  // lost

	window int           // most segments in flight
	stuck  bool          // the window is full; until the next ack or timeout
	dry    uint64        // gen when it found nothing to do
	probes int           // segments to be sent whatever the window says
	heard  time.Duration // last ack, or when the flight began after none was out
	copied int64         // transmissions from this NUM on have copies elsewhere

	// Rounds are round trips by NUM: one ends with the ack of what was sent after it
	// began.
	rounds   int64
	roundEnd int64         // the first NUM of the next round
	roundAt  time.Duration // when it began
	roundHad int64         // bytes delivered then
	roundCut bool          // it had nothing to send for a while
	fullIn   int64         // the last round in which the window held it back
	rate     float64       // bytes a ns that it delivers; 0: not known

	checked struct{ bytes, probes, seen int64 } // what audit saw the last time
	stats   SenderStats
	acks    int64 // that said something new
	astray  int64 // transmissions that are known not to have arrived
	refusal refusal
}

func (l *lane) dead() bool { return l.stats.Err != nil }

// tried reports whether the receiver has acknowledged nothing and has got what such a one
// gets.
func (l *lane) tried() bool {
	tries := l.stats.Sent - l.astray
	return l.acks == 0 && (tries >= firstTries || tries == firstTries-1 && l.probes == 0)
}

// spent reports whether it has had what one gets that acknowledges nothing, and is not waited
// for.
func (l *lane) spent() bool { return l.tried() && l.flight.out == 0 }
