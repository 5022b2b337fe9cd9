// Package server is the other side of the protocol: the orchestrator, which
// answers intents with offers, and the receivers, which take segments and
// acknowledge them.
//
// Both work by a [Ledger], which knows transactions and keeps the store. A [Server] is all
// three as one program. An [Orchestrator] with its ledger and [Receivers] may be programs
// apart too: then receivers hold each acknowledgement until the ledger has answered, see
// [Ask]. So far only the simulation has them so.
//
// A [Server] is a [mdalp/loop.Handler]: it takes datagrams and instants and gives
// datagrams. Apart from its [Store] it does no I/O, reads no clock and starts
// nothing; what may block, it hands to Config.Beside. Any socket may carry any message;
// what a datagram is for is decided by its type and by the address that it was sent to.
//
// # A transaction
//
// An intent waits in a queue until there is a place, then an offer is sent and the
// transaction starts. An intent from an address whose transaction has a segment opens
// another one: a port comes again. A transaction settles
//
//   - with an expected payload, when that has arrived: size and SHA-256 agree,
//   - without, when everything from SEQ 0 to the highest SEQ seen is there and
//     nothing has come for Idle; time in which the loop itself stood still does not
//     count,
//   - at Limit after the offer in any case, as incomplete if it was not silent until
//     then.
//
// Then its payload is put together, flushed and published beside the loop, its verdict is
// logged and handed to Config.Settled. What was acknowledged is not given up: a payload
// that cannot be published is tried again, after 1 s, 2 s and so on up to a minute, and
// what came of an incomplete one stays in the store, see Config.Keep. Until Limit,
// segments that are stored are still acknowledged when they come again with the same
// bytes, for their acknowledgement may have been lost; new ones are not taken. After Limit
// the server is silent about it for good.
//
// A new process takes up what it finds in the store, see [Server.Start]; [Server.Drain]
// and [Server.Close] end one.
//
// # The extended protocol
//
// A client that announces its payload is answered when the store has a place for it, see
// [Placer]. Segments in a row are written as one, noted, and acknowledged with one message.
// Flushing and hashing run along beside the loop; the verdict is given when the client asks
// for it, or after a silence of Silence. What is unfinished then is kept, and goes on when
// another transaction resumes it, or, after a restart, under its own number.
//
// # Places
//
// A transaction holds one of Concurrent places from its offer on, but not while it is
// whole and, of the base protocol, silent, nor while it settles, nor, when others wait, if
// no segment has come for Unused: its client may be gone. One that has segments is never
// held up for want of a place; a first segment that comes late is taken while fewer than
// twice Concurrent hold one.
// Sources take turns in the queue, and none holds more than SourceConcurrent places.
//
// # Bounds
//
// Nothing that comes from the network makes the server grow without bound:
//
//   - intents: Queue of them wait (about 300 bytes each); 4,096 sources have a
//     token bucket (about 150 bytes each),
//   - transactions: 2*Concurrent with a place; 4,096 more without a segment; MaxOpen with
//     segments, settling ones too; Remember settled ones, of which the one that settled
//     first is forgotten for another. Each takes a few hundred bytes and its index,
//   - segments: MaxBytes and MaxBytes/SegmentLimit segments (and one more for each
//     receiver) in a transaction; what is stored is remembered with 33 bits a segment:
//     1.3 kB for 5 kB of payload, at most 46 MB for a gigabyte. Payload bytes are the
//     Store's: on the disk, or bounded by Memory.Limit; SourceBytes bounds one source,
//   - extended payloads: 16,384 ranges of segments, of 16 bytes, and in a [Dir] about twice
//     as many again, whatever their size; usually there are a few,
//   - receivers apart from their ledger: 4,096 acknowledgements held, with 16 MiB of
//     segments; 4,096 transactions known; at the ledger 4,096 asks without an answer,
//   - acknowledgements: 4,096 wait to be sent, and of one transaction 16, or two for each
//     receiver; more are dropped, and the client asks again. Transactions take turns,
//   - offers: OfferRate bytes a second, IntentRate offers a second for each source
//     that nobody follows up,
//   - the log: a line of each kind that strangers can cause, every 5 s or every minute,
//   - a Result names at most 1,024 missing ranges; a Snapshot tells of 200 open transactions
//     and 64 receivers.
package server
