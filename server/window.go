package server

import (
	"slices"

	"mdalp/wire"
)

const (
	// kernelBuffer is the receive buffer of a socket for which nobody asked more
	// (net.core.rmem_default).
	kernelBuffer = 212992
	// What a datagram takes of a receive buffer is all that the kernel holds for it
	// ("truesize"): its bytes and headers rounded up to a power of two, and the kernel's own
	// description of it.
	description = 768
	headers     = 192 // of Ethernet, IP, UDP and ours
)

// truesize is what a segment of so many bytes takes of a receive buffer, about.
func truesize(segment int64) int64 {
	n := int64(256)
	for n < segment+headers {
		n *= 2
	}
	return n + description
}

// Window is how many segments of so many bytes a receiver takes at once by a receive buffer
// of its own, in bytes as the kernel counts them, while one transaction is open.
func Window(buffer, segment int) int {
	return int(min(wire.MaxWindow, max(2, int64(buffer)*3/4/truesize(int64(segment)))))
}

// window is how many segments of so many bytes each receiver takes before it has
// acknowledged them, so that what is on the way to all of them fits into the buffers: the
// least of the receivers, divided by what is open.
func (s *Ledger) window(segment int64) int {
	if s.cfg.Window > 0 {
		return s.cfg.Window
	}
	return int(min(wire.MaxWindow, max(2, s.buffer/truesize(segment)/int64(max(1, s.placed.len())))))
}

// windowFor is the same for the receivers of an extended transaction. Those of a fleet have
// told of theirs in the offer, for the largest segments.
func (s *Ledger) windowFor(t *transaction) int {
	if s.cfg.Fleet == nil {
		return s.window(t.ext.segment)
	}
	least := int64(wire.MaxWindow)
	for _, r := range t.offered {
		least = min(least, int64(r.Win)*truesize(int64(r.Seg))/truesize(t.ext.segment))
	}
	return int(max(2, least))
}

// leastBuffer is how much of a receive buffer each receiver has at least. A quarter is left
// for intents, manifests and the base protocol.
func (c *Config) leastBuffer() int64 {
	sharing := make(map[int]int64)
	for i := range c.Receivers {
		sharing[c.Receivers[i].Sock]++
	}
	least := int64(wire.MaxWindow) * truesize(wire.MaxSegment)
	for i := range c.Receivers {
		sock, buffer := c.Receivers[i].Sock, int64(kernelBuffer)
		if sock < 0 { // which one it is nobody said: the least of all, that it shares with nobody
			if len(c.Buffers) > 0 {
				buffer = int64(slices.Min(c.Buffers))
			}
			least = min(least, buffer*3/4)
			continue
		}
		if sock < len(c.Buffers) && c.Buffers[sock] > 0 {
			buffer = int64(c.Buffers[sock])
		}
		least = min(least, buffer*3/4/sharing[sock])
	}
	return least
}
