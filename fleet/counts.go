package fleet

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
