package trace

import (
	"bytes"

	"mdalp/internal/pcapng"
	"mdalp/wire"
)

// A train is what a capture on the sending or receiving host has in place of several
// datagrams, where the kernel hands them to the network device, or takes them from it, as one
// (UDP_SEGMENT and UDP_GRO of udp(7)). On the wire they are apart. All have one length but
// the last, which may be shorter, and none tells its length: what tells is that where the
// next one must begin there is another header of the same transaction, with the next NUM if
// it is a segment. A payload may have such text in it; that it has the very number is all but
// impossible.

// train gives the length of the first datagram of a train, and 0 where data is none. Where
// the capture has less than there was, cut is set.
func train(data []byte, cut bool) int {
	// The same Type and TID as in all of the train.
	head := wire.Head(data)
	if head == nil || len(data) < 2*len(head) {
		return 0
	}
	m, err := wire.Parse(data)
	if err != nil || m.Num == wire.Absent || m.Data == nil {
		return 0
	}
	body := len(data) - len(m.Data)
	if m.Type == wire.Ack {
		body = len(head) // its DATA ends where ranges end
	}
	for from := body; ; {
		i := bytes.Index(data[from:], head)
		if i < 0 {
			return 0
		}
		if from += i; strides(data, from, head) && follows(&m, data[from:], cut) {
			return from
		}
		from++
	}
}

// strides reports whether a header stands at every n bytes of data.
func strides(data []byte, n int, head []byte) bool {
	for at := n; at < len(data); at += n {
		rest := data[at:]
		if len(rest) < len(head) { // of a capture that was cut
			return bytes.HasPrefix(head, rest)
		}
		if !bytes.HasPrefix(rest, head) {
			return false
		}
	}
	return true
}

// follows reports whether next can stand behind m in a train. Of a capture that was cut there
// may be too little to tell.
func follows(m *wire.Message, next []byte, cut bool) bool {
	n, err := wire.Parse(next)
	if err != nil || n.Data == nil {
		return cut && len(next) < wire.MaxHeader
	}
	return m.Type == wire.Ack || n.Num == m.Num+1
}

// apart takes the datagrams of a train, n bytes each.
func (a *Analyzer) apart(d *pcapng.Datagram, n int) {
	one := *d
	rest, missing := d.Data, d.Missing
	for len(rest) > n {
		one.Data, one.Cut, one.Missing = rest[:n:n], false, 0
		rest = rest[n:]
		a.single(&one)
	}
	one.Data, one.Cut, one.Missing = rest, d.Cut, min(missing, n-len(rest))
	a.single(&one)
	if missing -= one.Missing; missing > 0 {
		a.trace.Cut += int64((missing + n - 1) / n) // nothing of these is there
	}
}
