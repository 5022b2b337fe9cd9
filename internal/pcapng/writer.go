package pcapng

import (
	"bufio"
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// maxComment bounds a comment in bytes: an option's length has 16 bits. It is far below
// those 16 bits, so that a stranger's text does not swell the file.
const maxComment = 4096

// A Writer writes datagrams as a capture of one interface without link headers. The IP
// and UDP headers are made up around each datagram, with right checksums: those that
// were on the wire are not known to a program that only had a socket.
type Writer struct {
	w     *bufio.Writer
	block []byte // kept from one packet to the next
}

// NewWriter begins a capture that names the program that wrote it. Nothing reaches w
// before the buffer of 64 KiB is full, or Flush.
func NewWriter(w io.Writer, app string) *Writer {
	p := &Writer{w: bufio.NewWriterSize(w, 64<<10)}
	p.begin(blockSection)
	p.u32(orderMagic)
	p.u16(1) // version 1.0
	p.u16(0)
	// It would have to be filled in at the end, and nobody can go back in a pipe. -1 says so.
	p.u32(0xffffffff) // the section's length is not known
	p.u32(0xffffffff)
	p.option(optApp, app)
	p.u32(optEnd)
	p.end() // an error stays in the buffer, and every later call tells it

	p.begin(blockInterface)
	p.u16(linkRaw)
	p.u16(0)
	p.u32(0) // packets are never cut
	p.option(optName, "mdalp")
	p.option(optResolution, "\x09") // 10^-9 s
	p.u32(optEnd)
	p.end()
	return p
}

// Write adds a datagram. An ICMPv6 message whose checksum is 0 gets its checksum, as
// the kernel would fill it in; other ICMP messages are written as they are. The error
// is [ErrDatagram] or that of the io.Writer. Nothing is kept of d.
func (p *Writer) Write(d *Datagram) error {
	p.begin(blockEnhanced)
	p.u32(0) // the interface
	ns := uint64(d.At.UnixNano())
	p.u32(uint32(ns >> 32))
	p.u32(uint32(ns))
	// Captured and original: the same, as nothing is cut.
	p.u32(0) // the lengths, filled in below
	p.u32(0)
	at := len(p.block)
	var ok bool
	if p.block, ok = appendPacket(p.block, d); !ok {
		return ErrDatagram
	}
	n := uint32(len(p.block) - at)
	binary.LittleEndian.PutUint32(p.block[at-8:], n)
	binary.LittleEndian.PutUint32(p.block[at-4:], n)
	p.pad()
	if d.Comment != "" {
		cut := min(len(d.Comment), maxComment)
		for 0 < cut && cut < len(d.Comment) && !utf8.RuneStart(d.Comment[cut]) {
			cut-- // an option of text is UTF-8 throughout
		}
		p.option(optComment, d.Comment[:cut])
	}
	if d.Dir != Unknown {
		p.u16(optFlags)
		p.u16(4)
		p.u32(uint32(d.Dir)) // 1 inbound, 2 outbound
	}
	if d.Comment != "" || d.Dir != Unknown {
		p.u32(optEnd)
	}
	return p.end()
}

// Flush hands everything to the io.Writer.
func (p *Writer) Flush() error { return p.w.Flush() }

// begin starts a block: its type and room for its length.
func (p *Writer) begin(typ uint32) {
	p.block = p.block[:0]
	p.u32(typ)
	p.u32(0)
}

// end completes the block's length, at both of its ends, and writes it.
func (p *Writer) end() error {
	n := uint32(len(p.block) + 4)
	p.u32(n)
	binary.LittleEndian.PutUint32(p.block[4:], n)
	_, err := p.w.Write(p.block)
	return err
}

// option adds an option with a text.
func (p *Writer) option(code uint16, s string) {
	p.u16(code)
	p.u16(uint16(len(s)))
	p.block = append(p.block, s...)
	p.pad()
}

// pad fills up to a multiple of 4 bytes.
func (p *Writer) pad() {
	for len(p.block)%4 != 0 {
		p.block = append(p.block, 0)
	}
}

func (p *Writer) u16(n uint16) { p.block = binary.LittleEndian.AppendUint16(p.block, n) }
func (p *Writer) u32(n uint32) { p.block = binary.LittleEndian.AppendUint32(p.block, n) }
