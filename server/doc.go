// Package server is the other side of the protocol: the orchestrator, which
// answers intents with offers, and the receivers, which take segments and
// acknowledge them, as one program.
//
// A [Server] is a [mdalp/loop.Handler]: it takes datagrams and instants and gives
// datagrams. Apart from its [Store] it does no I/O, reads no clock and starts
// nothing. Any socket may carry any message; what a datagram is for is decided by
// its type and by the address that it was sent to.
//
// # A transaction
//
// An intent waits in a queue until fewer than Concurrent transactions are open,
// then an offer is sent and the transaction starts. It settles
//
//   - with an expected payload, when that has arrived: size and SHA-256 agree,
//   - without, when everything from SEQ 0 to the highest SEQ seen is there and
//     nothing has come for Idle,
//   - at Limit after the offer in any case.
//
// Then its verdict is logged and handed to Config.Settled. Until Limit, segments that
// are stored are still acknowledged when they come again, for their
// acknowledgement may have been lost; new ones are not taken. After Limit the
// server is silent about it for good. An offer is repeated to a client that asks
// again before that.
//
// # Bounds
//
// Nothing that comes from the network makes the server grow without bound:
//
//   - intents: Queue of them wait (about 200 bytes each); 4,096 sources have a
//     token bucket (about 150 bytes each),
//   - transactions: Concurrent open ones; Remember settled ones (a few hundred
//     bytes each), of which the one that settled first is forgotten for another,
//   - segments: MaxBytes and MaxBytes/SegmentLimit segments (and one more for each
//     receiver) in a transaction; what is stored is remembered in one bit a
//     segment, 1.4 MB for a gigabyte. Payload bytes are the Store's: on the disk,
//     or bounded by Memory.Limit,
//   - acknowledgements: 4,096 wait to be sent, more are dropped, and the client
//     asks again,
//   - a Result names at most 1,024 missing ranges.
//
// Putting a payload together reads and writes all of it within one call, in which
// nothing else is served; a gigabyte takes seconds, a payload of the protocol's 90
// seconds and 100-byte segments milliseconds.
package server
