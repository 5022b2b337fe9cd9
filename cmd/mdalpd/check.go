package main

import (
	"cmp"
	"math"

	"mdalp/cmd/internal/usage"
	"mdalp/server"
	"mdalp/wire"
)

// mostAtOnce bounds what can be asked for of transactions and intents at the same time:
// memory for the former is taken at the start.
const mostAtOnce = 1_000_000

// check refuses numbers that are out of range. The server takes 0 for its default, so that
// who asks for none of something that it cannot do without would get the default instead,
// and not notice.
func (o *options) check() error {
	for _, n := range []struct {
		name  string
		value any
		sign  int  // of value
		none  bool // 0 has a meaning
	}{
		{"limit", o.limit, cmp.Compare(o.limit, 0), false},
		{"idle", o.idle, cmp.Compare(o.idle, 0), false},
		{"offer-delay", o.delay, cmp.Compare(o.delay, 0), true},
		{"concurrent", o.concurrent, cmp.Compare(o.concurrent, 0), false},
		{"source-concurrent", o.sourceConcurrent, cmp.Compare(o.sourceConcurrent, 0), true},
		{"keep", o.keep, cmp.Compare(o.keep, 0), true},
		{"queue", o.queue, cmp.Compare(o.queue, 0), true},
		{"max-bytes", o.maxBytes, cmp.Compare(o.maxBytes, 0), false},
		{"first-tid", o.firstTID, cmp.Compare(o.firstTID, 0), true},
		{"silence", o.silence, cmp.Compare(o.silence, 0), false},
		{"window", o.window, cmp.Compare(o.window, 0), true},
		{"drain", o.drain, cmp.Compare(o.drain, 0), true},
	} {
		switch {
		case n.sign < 0:
			return usage.Errorf("--%s %v: it may not be negative", n.name, n.value)
		case n.sign == 0 && !n.none:
			return usage.Errorf("--%s %v: it must be more than 0", n.name, n.value)
		}
	}
	switch {
	case o.logFormat != "text" && o.logFormat != "json":
		return usage.Errorf("--log-format %s: it is text or json", usage.Shown(o.logFormat))
	case o.concurrent > mostAtOnce:
		return usage.Errorf("--concurrent %d: it is %d at most", o.concurrent, mostAtOnce)
	case o.segment < wire.MinSegment || o.segment > wire.MaxSegment:
		return usage.Errorf("--segment %d: it is %d to %d", o.segment, wire.MinSegment, wire.MaxSegment)
	case o.window > wire.MaxWindow:
		return usage.Errorf("--window %d: it is %d at most", o.window, wire.MaxWindow)
	case o.queue > mostAtOnce:
		return usage.Errorf("--queue %d: it is %d at most", o.queue, mostAtOnce)
	case o.maxBytes > server.MostBytes:
		return usage.Errorf("--max-bytes %d: it is %d at most", o.maxBytes, int64(server.MostBytes))
	case math.IsNaN(o.rate) || math.IsInf(o.rate, 0) || o.rate == 0:
		return usage.Errorf("--intent-rate %v: it is a number of intents a second, negative for any", o.rate)
	}
	return o.http.Check()
}
