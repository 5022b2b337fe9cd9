package fleet

// Counts are what an orchestrator has asked of the engine, and what came of it.
type Counts struct {
	Writes    uint64 // records written, or tried to
	Conflicts uint64 // of these, refused since another had written
	Away      uint64 // calls that the engine did not answer
	Asks      uint64 // receivers asked
	Silent    uint64 // of these, without an answer: their journals were read
	Taken     uint64 // transactions taken over from others
	Lost      uint64 // transactions that others have taken over
	Settled   uint64 // payloads published
	Slow      uint64 // flushes that took longer than 2 s
}

// ReceiverCounts are what became of segments that could not be taken at once.
type ReceiverCounts struct {
	Asked    uint64 // transactions that the engine was asked about
	Waited   uint64 // segments that waited for its answer
	Dropped  uint64 // segments of no transaction here, or one that is over, or too many
	Answered uint64 // asks of orchestrators
	Failed   uint64 // writes and flushes
	Slow     uint64 // flushes that took longer than 2 s
	Unopened uint64 // segments of sealed transactions that did not open
	Replayed uint64 // likewise, whose number came before, or is too old
}
