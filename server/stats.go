package server

// Stats counts what happened since the start. Each datagram that came is counted
// once in Datagrams and once in one of the fields down to StoreErrors.
type Stats struct {
	Datagrams uint64

	Malformed   uint64 // not of the protocol, no TID or SEQ where needed, or no address to answer
	Unexpected  uint64 // of a type that only servers send, or that is unknown
	AfterClose  uint64 // came after Close
	Accepted    uint64 // intents that were queued or got an offer
	Repeated    uint64 // intents of clients that have a transaction
	Waiting     uint64 // intents of clients that wait in the queue already
	RateLimited uint64 // intents beyond their source's rate, or repeated beyond the budget of offers
	QueueFull   uint64 // intents beyond the queue
	Challenged  uint64 // intents that asked for a cookie under load, and got no offer
	Draining    uint64 // intents after Drain
	UnknownTID  uint64 // segments of no live transaction
	Elsewhere   uint64 // segments that did not come to a receiver's address
	OutOfBounds uint64 // segments whose SEQ is beyond the bound
	Empty       uint64 // segments without payload
	Oversize    uint64 // segments with more than SegmentLimit bytes
	TooMuch     uint64 // segments beyond MaxBytes
	SourceFull  uint64 // segments beyond SourceBytes
	Foreign     uint64 // segments from another address than the intent's, with BindClients
	NoPlace     uint64 // first segments that came late, while there was no place
	Late        uint64 // new segments after their transaction began to settle
	Stored      uint64 // segments that were stored
	Duplicates  uint64 // segments that were stored before
	Conflicts   uint64 // segments with the number of a stored one and other bytes, not acknowledged
	Manifests   uint64 // manifests
	WrongKind   uint64 // segments of the other protocol than their transaction's
	// Extended segments that would leave too many gaps.
	TooScattered uint64
	// Of receivers apart from their ledger, and of that ledger.
	Held        uint64 // segments whose acknowledgement was held until the ledger answered
	NotHeld     uint64 // segments that found too many held
	AsksDropped uint64 // segments asked for that found too many waiting for their answer
	// Of who opens sealed transactions, see [Server.SealedIntent].
	Unopened     uint64 // sealed intents, and datagrams of sealed transactions, that did not open
	Replayed     uint64 // datagrams of sealed transactions whose number came before, or is too old
	PlainIntents uint64 // intents without a key where one is required
	StoreErrors  uint64 // segments that the store refused

	Bytes         uint64 // payload stored
	Offers        uint64 // offers sent, repeated ones too
	Acks          uint64 // acknowledgements sent
	AcksDropped   uint64 // acknowledgements that found too many waiting, or their transaction over
	LateReplies   uint64 // answers of the ledger to what was not held any more
	SendErrors    uint64 // errors that the network held against what was sent
	NotStarted    uint64 // intents given up because the store could not take a transaction
	Settled       uint64 // transactions settled
	Completed     uint64 // of these, with status true
	Forgotten     uint64 // settled transactions forgotten before their limit
	Displaced     uint64 // waiting intents that gave way to those of other sources
	Recovered     uint64 // transactions of former runs that were taken up
	Retried       uint64 // tries to publish that failed
	Announced     uint64 // extended payloads
	States        uint64 // states sent
	StatesDropped uint64 // states that found too many waiting
	Sealed        uint64 // sealed intents that opened
	Unsealed      uint64 // answers that could not be sealed, and were not sent
	Stalls        uint64 // times that the loop stood still for more than 100 ms
}
