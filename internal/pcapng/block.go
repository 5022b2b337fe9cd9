package pcapng

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// An iface is where packets were captured.
type iface struct {
	// The LINKTYPE number, which says what a frame begins with.
	link uint32
	// The most bytes that were kept of a frame; 0 is no bound. Only simple packets need it,
	// which do not tell how much of them was captured.
	snap  uint32
	power uint8 // of the unit of time: 10^-power s, or 2^-power with the top bit set
	shift int64 // seconds to add
}

// block reads a block of a pcapng file; ok tells if it was a packet. A block is its
// type, its length, a body, and the length again, so that a file can be walked from
// either end. A type that is not known, such as name resolution, statistics or secrets,
// is read over: the draft wants readers to go on behind it.
func (p *Reader) block(d *Datagram) (f frame, ok bool, err error) {
	// Errors name where the block begins, not where reading stopped.
	at := p.offset
	h, err := p.read(8)
	if err != nil {
		return f, false, err
	}
	// A copy, because the next read reuses the memory of h, and only what the section itself
	// says next tells in which byte order this is.
	length := [4]byte(h[4:])
	section := binary.BigEndian.Uint32(h) == blockSection // the same in either order
	head := 8
	if section {
		if h, err = p.read(4); err != nil {
			return f, false, whole(err)
		}
		head = 12
		switch {
		case binary.LittleEndian.Uint32(h) == orderMagic:
			p.order = binary.LittleEndian
		case binary.BigEndian.Uint32(h) == orderMagic:
			p.order = binary.BigEndian
		default:
			return f, false, &FormatError{at, "the section tells no byte order"}
		}
	} else if p.order == nil {
		return f, false, &FormatError{at, "there is no section"}
	}
	typ := uint32(blockSection)
	if !section {
		typ = p.order.Uint32(h)
	}
	n := p.order.Uint32(length[:])
	switch {
	// Checked before any of the body is read: a length field is a stranger's word.
	case n > maxBlock:
		return f, false, &FormatError{at, fmt.Sprintf("the block of type %d is longer than %d bytes", typ,
			maxBlock)}
	case n%4 != 0 || int(n) < head+4:
		return f, false, &FormatError{at, fmt.Sprintf("the block of type %d has a length of %d", typ, n)}
	}
	body, err := p.read(int(n) - head)
	if err != nil {
		return f, false, whole(err)
	}
	// The second length costs nothing to compare, and shows a file that is torn or was written
	// by two programs at once, before garbage is taken for packets.
	if p.order.Uint32(body[len(body)-4:]) != n {
		return f, false, &FormatError{at, fmt.Sprintf("the block of type %d has another length at its end",
			typ)}
	}
	body = body[:len(body)-4]
	f, ok, reason := p.content(typ, body, d)
	if reason != "" {
		return frame{}, false, &FormatError{at, reason}
	}
	return f, ok, nil
}

// content takes the body of a block. The error is a reason and no error value, as only
// the caller knows the offset. What is returned lies in the reader's buffer.
func (p *Reader) content(typ uint32, body []byte, d *Datagram) (f frame, ok bool, reason string) {
	switch typ {
	case blockSection:
		p.links = p.links[:0] // they are numbered anew
		p.section++
	case blockInterface:
		reason = p.describe(body)
	case blockEnhanced, blockPacket:
		f, reason = p.packet(typ, body, d)
		ok = true
	case blockSimple:
		if len(body) < 4 || len(p.links) == 0 {
			return f, false, "the simple packet is of no interface, or too short"
		}
		// Its captured length is not told: the rest may be padding.
		l, n := p.links[0], p.order.Uint32(body)
		f.data, f.link, ok = body[4:], l.link, true
		if uint64(n) < uint64(len(f.data)) {
			f.data = f.data[:n]
		}
		if l.snap > 0 && uint64(l.snap) < uint64(len(f.data)) {
			f.data = f.data[:l.snap]
		}
		f.lost = missing(uint32(len(f.data)), n)
		d.Origin.Iface = p.section << 48
	}
	return f, ok, reason
}

// describe takes an interface. Packets name interfaces by their place in the section,
// so each is kept, also one whose link type nobody reads: else all behind it would get
// the wrong one.
func (p *Reader) describe(b []byte) (reason string) {
	if len(b) < 8 {
		return "the description of an interface is too short"
	}
	if len(p.links) == maxInterfaces {
		return fmt.Sprintf("there are more than %d interfaces", maxInterfaces)
	}
	// Without the option if_tsresol times are in microseconds.
	i := iface{link: uint32(p.order.Uint16(b)), snap: p.order.Uint32(b[4:]), power: 6}
	p.options(b[8:], func(code uint16, v []byte) {
		switch {
		case code == optResolution && len(v) == 1:
			i.power = v[0]
		case code == optOffset && len(v) == 8:
			i.shift = int64(p.order.Uint64(v))
		}
	})
	// 10^19 is the last power of ten in 64 bits, and shifts by 64 would give 0.
	if i.power&0x80 == 0 && i.power > 19 || i.power&0x7f > 63 {
		return fmt.Sprintf("the interface's unit of time, %#x, is too small", i.power)
	}
	p.links = append(p.links, i)
	return ""
}

// packet takes an enhanced packet block, or a packet block as it was before. Both have
// the same layout of 20 bytes before the frame, but for the interface.
func (p *Reader) packet(typ uint32, b []byte, d *Datagram) (f frame, reason string) {
	if len(b) < 20 {
		return f, "the packet is too short"
	}
	id := p.order.Uint32(b)
	if typ == blockPacket { // 16 bits, and the count of drops
		id = uint32(p.order.Uint16(b))
	}
	if uint64(id) >= uint64(len(p.links)) {
		return f, fmt.Sprintf("the packet is of interface %d of %d", id, len(p.links))
	}
	i := p.links[id]
	// The upper half comes first whatever the byte order: it is no 64-bit field.
	d.At = i.time(uint64(p.order.Uint32(b[4:]))<<32 | uint64(p.order.Uint32(b[8:])))
	d.Origin.Iface = (p.section<<16 + uint64(id)) << 32
	n := p.order.Uint32(b[12:])
	if uint64(n) > uint64(len(b)-20) {
		return f, "the packet is longer than its block"
	}
	f = frame{b[20 : 20+n], i.link, missing(n, p.order.Uint32(b[16:]))}
	p.options(b[min(20+(n+3)&^3, uint32(len(b))):], func(code uint16, v []byte) {
		switch {
		case code == optComment && d.Comment == "":
			d.Comment = strings.ToValidUTF8(string(v), "�")
		case code == optFlags && len(v) == 4 && typ == blockEnhanced:
			// Bits 0 and 1: 1 inbound, 2 outbound. 3 has no meaning and becomes Unknown.
			d.Dir = Dir(p.order.Uint32(v) & 3 % 3)
		}
	})
	return f, ""
}

// options calls f for each option, as far as they make sense. A bad option ends the
// list and not the capture: what options tell is never needed.
func (p *Reader) options(b []byte, f func(code uint16, v []byte)) {
	for len(b) >= 4 {
		code, n := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		if b = b[4:]; code == optEnd || n > len(b) {
			return
		}
		f(code, b[:n])
		// Values are padded to 4 bytes; some writers leave the padding of the last one out.
		b = b[min((n+3)&^3, len(b)):]
	}
}

// lastSecond is that of the year 9999. No clock that captures is beyond it, and times
// up to it can be written in any form.
const lastSecond = 253402300799

// time gives an instant that is told in the interface's unit. One before 1970 or behind
// the year 9999 is the zero Time, as where the capture does not tell.
func (i *iface) time(n uint64) time.Time {
	var sec, ns uint64
	if p := i.power & 0x7f; i.power&0x80 != 0 {
		sec = n >> p
		// The fraction times 1e9 has more than 64 bits where the unit is small.
		hi, lo := bits.Mul64(n&(1<<p-1), 1e9)
		ns = hi<<(64-p) | lo>>p
	} else {
		unit := pow10(p)
		sec, ns = n/unit, n%unit
		if p <= 9 {
			ns *= pow10(9 - p)
		} else {
			ns /= pow10(p - 9)
		}
	}
	if sec > lastSecond || i.shift > lastSecond || i.shift < -lastSecond {
		return time.Time{}
	}
	if s := int64(sec) + i.shift; s >= 0 && s <= lastSecond {
		return time.Unix(s, int64(ns))
	}
	return time.Time{}
}

// pow10 is 10^n, for n up to 19.
func pow10(n uint8) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}
