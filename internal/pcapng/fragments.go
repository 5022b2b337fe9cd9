package pcapng

import (
	"bytes"
	"net/netip"
)

// The bounds of what waits for its missing fragments. An offer to a few thousand
// receivers is all of ours that is ever cut; a flood of first halves pushes the oldest
// out.
const (
	maxJoins   = 64    // datagrams that wait
	maxJoined  = 65535 // bytes of one, as IP bounds it
	maxPieces  = 1024  // of one
	joinWithin = 4096  // frames: what has not come by then is not waited for
)

// A flow is what fragments of one datagram have in common (RFC 791; RFC 8200, section
// 4.5), and where they were captured: each interface that a datagram passed has all of
// its fragments.
type flow struct {
	src, dst netip.Addr
	id       uint32
	proto    byte
	iface    uint64
	dir      Dir
}

// A piece is one fragment.
type piece struct {
	at   int    // its offset in the datagram
	n    int    // its length, of which less may be in data
	last bool   // nothing is behind it
	data []byte // what was captured of it
}

// A join is a datagram on its way to be whole.
type join struct {
	flow
	frame  int64 // its first fragment
	data   []byte
	total  int // 0 until the last fragment has come
	pieces []piece
	whole  bool
}

// fragments are those of a capture that wait. Its zero value is ready.
type fragments struct {
	open []*join // the oldest first
	// Fragments that no datagram was made of: they wait, or their time is over.
	lone int64
	used int64  // that went into datagrams, but for the last of each
	out  []byte // the datagram that was given last
}

// join takes a fragment, and gives what IP carried once all are there; n is how long
// that was, of which b may be less. It is the last fragment's frame that gives the
// datagram, so d keeps the instant of that.
func (p *parser) join(k flow, x piece) (b []byte, n int, ok bool) {
	f := p.joined
	f.lone++
	if x.n < 0 || x.at+x.n > maxJoined || !x.last && x.n%8 != 0 {
		return nil, 0, false
	}
	j := f.find(k, p.d.Frame)
	if j.whole {
		// A fragment that came twice, as over a mirrored port, is no news.
		if x.at+len(x.data) <= len(j.data) && bytes.Equal(j.data[x.at:x.at+len(x.data)], x.data) {
			return nil, 0, false
		}
		*j = join{flow: k, frame: p.d.Frame} // the number is used anew
	}
	if !j.take(x) {
		return nil, 0, false
	}
	if b, ok = j.build(f.out[:0]); !ok {
		return nil, 0, false
	}
	f.lone -= int64(len(j.pieces))
	f.used += int64(len(j.pieces)) - 1
	j.whole, j.data = true, bytes.Clone(b)
	j.pieces = nil
	f.out = b
	return b, j.total, true
}

// find gives the datagram of a flow, and makes it if need be.
func (f *fragments) find(k flow, frame int64) *join {
	for _, j := range f.open {
		if j.flow == k && frame-j.frame <= joinWithin {
			return j
		}
	}
	for len(f.open) > 0 && (len(f.open) == maxJoins || frame-f.open[0].frame > joinWithin) {
		f.open = append(f.open[:0], f.open[1:]...)
	}
	j := &join{flow: k, frame: frame}
	f.open = append(f.open, j)
	return j
}

// take keeps a fragment. One that overlaps another is not taken: RFC 5722 gives up the
// datagram then, and an attacker's is what would be shown.
func (j *join) take(x piece) bool {
	if len(j.pieces) >= maxPieces || j.total > 0 && (x.last || x.at+x.n > j.total) {
		return false
	}
	for i := range j.pieces {
		if y := &j.pieces[i]; x.at < y.at+y.n && y.at < x.at+x.n || x.at == y.at {
			return false
		}
		if x.last && j.pieces[i].at > x.at {
			return false
		}
	}
	x.data = bytes.Clone(x.data[:min(len(x.data), x.n)])
	j.pieces = append(j.pieces, x)
	if x.last {
		j.total = x.at + x.n
	}
	return true
}

// build puts the fragments together behind b, if all are there. Where one was cut by the
// capture, what is behind the cut is left out.
func (j *join) build(b []byte) ([]byte, bool) {
	sum := 0
	for i := range j.pieces {
		sum += j.pieces[i].n
	}
	// They do not overlap and none is behind the end, so their sum tells that all are there.
	if j.total == 0 || sum != j.total {
		return b, false
	}
	for len(b) < j.total {
		from := len(b)
		for i := range j.pieces {
			if j.pieces[i].at == from {
				b = append(b, j.pieces[i].data...)
				if len(j.pieces[i].data) < j.pieces[i].n {
					return b, true
				}
			}
		}
		if len(b) == from {
			break
		}
	}
	return b, true
}
