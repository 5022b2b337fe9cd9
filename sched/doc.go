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
//
// # Extended transfers
//
// [NewExtended] makes a [Transfer] whose receivers take windows of segments. It is
// driven as the other: [Transfer.TransmitNum] until it says no, Expire when Next says
// so, Kill when the network refuses a receiver. But Next also tells when a pacer lets
// the next segment go, acks come in by [Transfer.AckRanges], and SEQ is a place: any
// receiver may be sent any SEQ, more than once, each time under a NUM of its own.
//
// A receiver has a flight (what is out, by NUM), a recovery over it (what of that is
// lost and when to ask: RFC 9002), a controller (how much may be out: CUBIC, RFC
// 9438, with HyStart++, RFC 9406) and a pacer (when the next may go). Over all of them
// stands the ledger, which sees to it that a SEQ counts once.
//
// What is sent to a receiver is, in this order: what was lost there; what the dead
// left; its own share; a part of the share of whoever would end last; and copies of
// what is out at a silent or slow one. What is stored at the other end already is
// told by [Transfer.Have] before or during the transfer, and [Transfer.Reopen] takes
// back what was acknowledged and is not stored after all.
//
// Memory is bounded by what is in flight, at most [MaxFlight] segments for each
// receiver, and by the runs of SEQs that wait: one for each share, cut or gap in what
// is stored, one for each loss. It does not grow with the payload.
package sched
