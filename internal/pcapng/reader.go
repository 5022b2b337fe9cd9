package pcapng

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"
)

// Stats counts what a capture held.
type Stats struct {
	Frames    int64     // all
	Datagrams int64     // that were given by Next
	Other     int64     // neither UDP nor ICMP
	Fragments int64     // of datagrams that lack others of theirs; they are passed over
	Joined    int64     // fragments that went into Datagrams, but for the last of each
	Malformed int64     // with headers that contradict themselves
	Strange   int64     // of a link type that is not known
	Short     int64     // of which less was captured than their headers
	Cut       int64     // of the Datagrams, those of which less was captured than was sent
	Untimed   int64     // of the frames, those without a time, as simple packet blocks are
	First     time.Time // of the frames
	Last      time.Time
	// Skips has what Other and Strange count, by kinds.
	Skips []Skip
}

// A Reader reads a capture. Its memory does not grow with the capture.
type Reader struct {
	r     *bufio.Reader
	order binary.ByteOrder
	// A pcap file, whose records have no types.
	classic bool
	// The interfaces of the section; the only one of a pcap file.
	links []iface
	// The block or record that was read last. Next hands out parts of it.
	buf []byte
	// How many bytes were taken, for errors.
	offset int64
	stats  Stats
	skips  skips
	joined fragments
	// The section, so that interfaces of the same number in two of them differ.
	section uint64
	// Bytes of a record's head behind the usual 16.
	more int
}

// NewReader begins to read a capture, pcapng or pcap of any byte order. The error is
// [ErrFormat] or that of r.
func NewReader(r io.Reader) (*Reader, error) {
	p := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	magic, err := p.r.Peek(4)
	if err == io.EOF {
		return nil, notCapture(magic)
	} else if err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(magic) == blockSection {
		return p, nil
	}
	p.classic = true
	i := iface{power: 6}
	for _, p.order = range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch p.order.Uint32(magic) {
		case pcapNano:
			i.power = 9
		case pcapModified:
			p.more = 8
		case pcapMicro:
		default:
			continue
		}
		b, err := p.read(24)
		if err != nil {
			return nil, err
		}
		// The top bits tell of a frame check sequence.
		i.snap, i.link = p.order.Uint32(b[16:]), p.order.Uint32(b[20:])&0x03ffffff
		p.links, p.section = []iface{i}, 1
		return p, nil
	}
	return nil, notCapture(magic)
}

// notCapture says what a file is that begins with head. Captures are often kept
// compressed, and Wireshark reads them like that, which few expect to matter here.
func notCapture(head []byte) error {
	if len(head) == 0 {
		return fmt.Errorf("%w: it is empty", ErrFormat)
	}
	for _, c := range []struct{ magic, by, undo string }{
		{"\x1f\x8b", "gzip", "gunzip"}, {"\x28\xb5\x2f\xfd", "zstd", "unzstd"}, {"\xfd7zX", "xz", "unxz"},
		{"BZh", "bzip2", "bunzip2"}, {"\x04\x22\x4d\x18", "lz4", "unlz4"},
	} {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return fmt.Errorf("%w: it is compressed by %s: %s it first", ErrFormat, c.by, c.undo)
		}
	}
	return ErrFormat
}

// Stats tells what the capture held so far.
func (p *Reader) Stats() Stats {
	s := p.stats
	s.Fragments, s.Joined, s.Skips = p.joined.lone, p.joined.used, slices.Clone(p.skips)
	return s
}

// Next gives the next UDP datagram or ICMP message in d, whose Data is valid until the
// next call. The error is io.EOF at the end, [io.ErrUnexpectedEOF] if the capture ends in
// the middle of a packet, a [*FormatError], or that of the io.Reader.
func (p *Reader) Next(d *Datagram) error {
	for {
		*d = Datagram{}
		next := p.block
		if p.classic {
			next = p.record
		}
		f, ok, err := next(d)
		if err != nil {
			return err
		}
		if ok && p.take(d, &f) {
			return nil
		}
	}
}

// A frame is a packet as the capture holds it.
type frame struct {
	data []byte
	link uint32
	lost int // bytes that were not captured, as the capture says
}

// take counts a frame and takes it apart; it reports whether there is a datagram in it.
func (p *Reader) take(d *Datagram, f *frame) bool {
	p.count(d)
	x := parser{d: d, lost: f.lost, joined: &p.joined}
	s := &p.stats
	switch v := x.link(f.link, f.data); {
	case v == other:
		s.Other++
		p.skips.add(x.skip)
	case v == strange:
		s.Strange++
		p.skips.add(x.skip)
	case v == malformed && f.lost > 0:
		s.Short++
	case v == malformed:
		s.Malformed++
	case v == taken:
		// A frame that was cut may still hold the whole datagram, and not the link's padding.
		if s.Datagrams++; d.Cut {
			s.Cut++
		}
		return true
	}
	return false
}

// count takes a frame into the statistics.
func (p *Reader) count(d *Datagram) {
	p.stats.Frames++
	d.Frame = p.stats.Frames
	if d.At.IsZero() {
		p.stats.Untimed++
		return
	}
	if p.stats.First.IsZero() || d.At.Before(p.stats.First) {
		p.stats.First = d.At
	}
	if d.At.After(p.stats.Last) {
		p.stats.Last = d.At
	}
}

// record reads a packet of a pcap file. A record is seconds, fraction, captured length
// and length on the wire, 32 bits each. A modified file has more behind them: the
// interface, the EtherType, Linux's packet type and a byte that means nothing.
func (p *Reader) record(d *Datagram) (f frame, ok bool, err error) {
	at := p.offset
	h, err := p.read(16 + p.more)
	if err != nil {
		return f, false, err
	}
	i := p.links[0]
	sec, frac, n := p.order.Uint32(h), p.order.Uint32(h[4:]), p.order.Uint32(h[8:])
	if n > maxBlock {
		return f, false, &FormatError{at, fmt.Sprintf("the packet is longer than %d bytes", maxBlock)}
	}
	ns := int64(frac)
	if i.power == 6 {
		ns *= 1000
	}
	d.At = time.Unix(int64(sec), ns)
	d.Origin.Iface = p.section << 32
	if p.more > 0 {
		d.Origin.Iface, d.Origin.Own = d.Origin.Iface|uint64(p.order.Uint32(h[16:])), true
		d.Dir = cooked(uint16(h[22]))
	}
	f.link, f.lost = i.link, missing(n, p.order.Uint32(h[12:]))
	f.data, err = p.read(int(n))
	return f, true, whole(err)
}

// missing is how many bytes of a packet were not captured. A length on the wire that is
// less than what was captured is wrong, and says nothing.
func missing(captured, sent uint32) int {
	if sent <= captured || sent > maxBlock {
		return 0
	}
	return int(sent - captured)
}

// read gives the next n bytes, valid until the next call; io.EOF only if there is none.
// Memory is taken as the bytes come, whatever n claims.
func (p *Reader) read(n int) ([]byte, error) {
	// A file of a few bytes that claims 16 MiB takes one step, not 16 MiB.
	const step = 64 << 10
	p.buf = p.buf[:0]
	for len(p.buf) < n {
		from := len(p.buf)
		k := min(n-from, step)
		if cap(p.buf) < from+k {
			p.buf = append(p.buf[:from], make([]byte, k)...)
		} else {
			p.buf = p.buf[:from+k]
		}
		got, err := io.ReadFull(p.r, p.buf[from:])
		p.offset += int64(got)
		if err != nil {
			if from+got > 0 {
				err = whole(err)
			}
			return nil, err
		}
	}
	return p.buf, nil
}

// whole turns the end of the capture into an end in the middle of something.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
