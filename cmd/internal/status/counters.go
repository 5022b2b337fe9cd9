package status

import "mdalp/server"

// A counted is one field of [server.Stats] under the name that it is told by.
type counted struct {
	name string
	of   func(*server.Stats) uint64
}

// What became of intents, of segments, and of what is sealed. A name is a label of a metric: it stays.
var (
	intentResults = []counted{
		{"accepted", func(s *server.Stats) uint64 { return s.Accepted }},
		{"repeated", func(s *server.Stats) uint64 { return s.Repeated }},
		{"waiting_already", func(s *server.Stats) uint64 { return s.Waiting }},
		{"rate_limited", func(s *server.Stats) uint64 { return s.RateLimited }},
		{"challenged", func(s *server.Stats) uint64 { return s.Challenged }},
		{"queue_full", func(s *server.Stats) uint64 { return s.QueueFull }},
		{"draining", func(s *server.Stats) uint64 { return s.Draining }},
	}
	segmentResults = []counted{
		{"stored", func(s *server.Stats) uint64 { return s.Stored }},
		{"repeated", func(s *server.Stats) uint64 { return s.Duplicates }},
		{"conflict", func(s *server.Stats) uint64 { return s.Conflicts }},
		{"unknown_transaction", func(s *server.Stats) uint64 { return s.UnknownTID }},
		{"elsewhere", func(s *server.Stats) uint64 { return s.Elsewhere }},
		{"out_of_bounds", func(s *server.Stats) uint64 { return s.OutOfBounds }},
		{"empty", func(s *server.Stats) uint64 { return s.Empty }},
		{"oversize", func(s *server.Stats) uint64 { return s.Oversize }},
		{"too_much", func(s *server.Stats) uint64 { return s.TooMuch }},
		{"source_full", func(s *server.Stats) uint64 { return s.SourceFull }},
		{"foreign", func(s *server.Stats) uint64 { return s.Foreign }},
		{"no_place", func(s *server.Stats) uint64 { return s.NoPlace }},
		{"late", func(s *server.Stats) uint64 { return s.Late }},
		{"wrong_kind", func(s *server.Stats) uint64 { return s.WrongKind }},
		{"too_scattered", func(s *server.Stats) uint64 { return s.TooScattered }},
		{"store_error", func(s *server.Stats) uint64 { return s.StoreErrors }},
	}
	sealedResults = []counted{
		{"intent", func(s *server.Stats) uint64 { return s.Sealed }},
		{"not_opened", func(s *server.Stats) uint64 { return s.Unopened }},
		{"replayed", func(s *server.Stats) uint64 { return s.Replayed }},
		{"plain_intent", func(s *server.Stats) uint64 { return s.PlainIntents }},
		{"not_answered", func(s *server.Stats) uint64 { return s.Unsealed }},
	}
	ignoredReasons = []counted{
		{"malformed", func(s *server.Stats) uint64 { return s.Malformed }},
		{"unexpected", func(s *server.Stats) uint64 { return s.Unexpected }},
		{"after_close", func(s *server.Stats) uint64 { return s.AfterClose }},
	}
)

// count is what the JSON has of the counters.
func count(s *server.Stats) Counters {
	c := Counters{
		Datagrams: s.Datagrams, Bytes: s.Bytes, Offers: s.Offers, Acks: s.Acks, Stalls: s.Stalls,
		Intents: make(map[string]uint64), Segments: make(map[string]uint64), Sealed: make(map[string]uint64),
	}
	for _, r := range intentResults {
		c.Intents[r.name] = r.of(s)
	}
	for _, r := range segmentResults {
		c.Segments[r.name] = r.of(s)
	}
	for _, r := range sealedResults {
		c.Sealed[r.name] = r.of(s)
	}
	return c
}
