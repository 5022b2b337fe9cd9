package pcapng

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Stats counts what a capture held.
type Stats struct {
	Frames    int64     // all
	Datagrams int64     // that were given by Next
	Other     int64     // neither UDP nor ICMP
	Fragments int64     // of datagrams; they are passed over
	Malformed int64     // with headers that contradict themselves or are cut
	Strange   int64     // of a link type that is not known
	Cut       int64     // of the Datagrams, those of which less was captured than was sent
	First     time.Time // of the frames
	Last      time.Time
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
		p.links = []iface{i}
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
func (p *Reader) Stats() Stats { return p.stats }

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
		frame, link, ok, err := next(d)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		p.count(d)
		switch parseLink(link, frame, d) {
		case other:
			p.stats.Other++
		case fragment:
			p.stats.Fragments++
		case malformed:
			p.stats.Malformed++
		case strange:
			p.stats.Strange++
		default:
			// A frame that was cut may still hold the whole datagram, and not the link's
			// padding.
			if p.stats.Datagrams++; d.Cut {
				p.stats.Cut++
			}
			return nil
		}
	}
}

// count takes a frame into the statistics.
func (p *Reader) count(d *Datagram) {
	p.stats.Frames++
	d.Frame = p.stats.Frames
	if d.At.IsZero() {
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
// and length on the wire, 32 bits each. The last is not needed: the IP header tells how
// much is missing.
func (p *Reader) record(d *Datagram) (frame []byte, link uint32, ok bool, err error) {
	at := p.offset
	h, err := p.read(16)
	if err != nil {
		return nil, 0, false, err
	}
	i := p.links[0]
	sec, frac, n := p.order.Uint32(h), p.order.Uint32(h[4:]), p.order.Uint32(h[8:])
	if n > maxBlock {
		return nil, 0, false, &FormatError{at, fmt.Sprintf("the packet is longer than %d bytes", maxBlock)}
	}
	ns := int64(frac)
	if i.power == 6 {
		ns *= 1000
	}
	d.At = time.Unix(int64(sec), ns)
	frame, err = p.read(int(n))
	return frame, i.link, true, whole(err)
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
