// Package sched holds the numbers and the instants of a transfer: who sends how
// much, what is sent again and when. It is plain state. It does no I/O, starts no
// goroutine and reads no clock: every instant comes in as an argument, so that
// the same calls give the same answers in a test, in a simulation and on a wire.
//
// [Wheel] keeps one timer per id, with all its memory taken at the start. [RTT]
// turns measured round trips into a retransmission timeout. [Split], [SplitEqual]
// and [MinShare] apportion a payload over receivers. On these stand the sending
// to one receiver, which is stop-and-wait, and the transfer to all of them.
//
// Receivers and timers are small integers, 0 to n-1: the index of the receiver in
// the offer. Nothing here knows an address.
package sched
