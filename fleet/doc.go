// Package fleet is the programs of a server in many parts: orchestrators and receivers on
// machines of their own, which agree by an engine (package engine) and share one directory.
//
// An [Orchestrator] is the server's own, with its ledger; what is distributed stands behind
// its store. A [Receiver] is the server's own too, over a store that writes each byte at its
// place in a file of the directory. Which segments of a payload are there is known by its
// receivers alone and stands in their journals; the engine has a few small records of it.
//
// Who is told complete: an orchestrator first writes that it settles, by the revision that it
// has read; asks the receivers to flush and for what they have; hashes the file, flushes it,
// gives it its name, which no two can, and flushes the directory; has it stand in the stream
// of the settled; and writes that it is complete. Only then does the client hear of it. If
// another has taken the transaction over meanwhile, the last write fails, and the client
// hears nothing from the first.
//
// A base payload has no digest. A receiver acknowledges its segments only while the registry is
// sure to have the receiver, and who settles waits for those that do not answer until it has
// not (lease.go).
//
// Receivers do not report by themselves: an orchestrator asks when a client asks it, and
// when a transaction may have been silent for too long. That is less traffic than a report a
// second, and what is told is never older than the question. Durations are all that
// goes between machines, never instants: their clocks may differ by any amount.
package fleet
