package wire

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

func isQuote(c byte) bool { return c == '\'' || c == '"' }

// prefix is how many letters stand before the quote of a literal at p.i, and what they
// say; ok is false where no literal stands there. Python's prefixes are u and r, and with
// b in them, in any case and order, the literal is bytes.
func (p *literal) prefix() (n int, raw, bytes, ok bool) {
	for ; n < 3 && p.i+n < len(p.b); n++ {
		switch c := p.b[p.i+n]; {
		case isQuote(c):
			return n, raw, bytes, true
		case n == 2:
		case c|0x20 == 'r' && !raw:
			raw = true
		case c|0x20 == 'b' && !bytes:
			bytes = true
		case c|0x20 == 'u' && n == 0:
		default:
			return 0, false, false, false
		}
	}
	return 0, false, false, false
}

// strings and bytes report whether a literal of that kind stands at p.i.
func (p *literal) strings() bool {
	_, _, bytes, ok := p.prefix()
	return ok && !bytes
}

func (p *literal) bytes() bool {
	_, _, bytes, ok := p.prefix()
	return ok && bytes
}

// str reads a string of one or more adjacent literals. The result is valid up
// to the next str.
func (p *literal) str() (s []byte, ok bool) {
	if !p.strings() {
		return nil, p.fail(p.i, "a string")
	}
	p.buf = p.buf[:0]
	for p.strings() {
		if !p.quoted() {
			return nil, false
		}
		p.space()
	}
	return p.buf, true
}

// skipStrings steps over adjacent literals, bytes too, and decodes nothing.
func (p *literal) skipStrings() bool {
	for {
		n, _, _, ok := p.prefix()
		if !ok {
			return true
		}
		start := p.i
		p.i += n
		q, long := p.open()
		for {
			if p.i >= len(p.b) {
				return p.fail(start, "a string with a closing quote")
			}
			c := p.b[p.i]
			if c == q && p.closes(q, long) {
				break
			}
			if c == 0 || !long && (c == '\n' || c == '\r') {
				return p.fail(p.i, "a closing quote")
			}
			if p.i++; c == '\\' {
				p.i++ // whatever it escapes, a quote too
			}
		}
		p.space()
	}
}

// open steps over an opening quote, or three of them.
func (p *literal) open() (q byte, long bool) {
	q = p.b[p.i]
	if len(p.b)-p.i >= 3 && p.b[p.i+1] == q && p.b[p.i+2] == q {
		p.i += 3
		return q, true
	}
	p.i++
	return q, false
}

// closes steps over the closing quote at p.i if it is one.
func (p *literal) closes(q byte, long bool) bool {
	if !long {
		p.i++
		return true
	}
	if len(p.b)-p.i >= 3 && p.b[p.i+1] == q && p.b[p.i+2] == q {
		p.i += 3
		return true
	}
	return false
}

// quoted decodes one literal, prefix, quotes and all, behind what buf holds.
func (p *literal) quoted() bool {
	start := p.i
	n, raw, _, _ := p.prefix()
	p.i += n
	q, long := p.open()
	for p.i < len(p.b) {
		if len(p.buf) > MaxString {
			return p.fail(start, "a string of at most 4096 bytes")
		}
		c := p.b[p.i]
		switch {
		case c == q && p.closes(q, long):
			return true
		case c == '\\' && !raw:
			if !p.escape() {
				return false
			}
		case c == '\\' && p.i+1 < len(p.b) && p.b[p.i+1] < utf8.RuneSelf && p.b[p.i+1] >= ' ':
			// In a raw string the backslash stays, and so does the quote behind it.
			p.buf = append(p.buf, c, p.b[p.i+1])
			p.i += 2
		case c == 0 || !long && (c == '\n' || c == '\r'):
			return p.fail(p.i, "a closing quote")
		case c < utf8.RuneSelf:
			p.buf = append(p.buf, c)
			p.i++
		default:
			_, n := utf8.DecodeRune(p.b[p.i:])
			if n == 1 {
				return p.fail(p.i, "UTF-8")
			}
			p.buf = append(p.buf, p.b[p.i:p.i+n]...)
			p.i += n
		}
	}
	return p.fail(p.i, "a closing quote")
}

// escape decodes one escape sequence (Python Language Reference, section
// 2.4.1.1). Half a surrogate pair, which Go's strings cannot hold, becomes U+FFFD.
func (p *literal) escape() bool {
	at := p.i
	p.i++ // the backslash
	if p.i == len(p.b) {
		return p.fail(p.i, "a closing quote")
	}
	c := p.b[p.i]
	p.i++
	switch c {
	case '\n':
	case '\r': // Python takes CR and CR LF for one line end
		if p.peek() == '\n' {
			p.i++
		}
	case '\\', '\'', '"':
		p.buf = append(p.buf, c)
	case 'a':
		p.buf = append(p.buf, '\a')
	case 'b':
		p.buf = append(p.buf, '\b')
	case 'f':
		p.buf = append(p.buf, '\f')
	case 'n':
		p.buf = append(p.buf, '\n')
	case 'r':
		p.buf = append(p.buf, '\r')
	case 't':
		p.buf = append(p.buf, '\t')
	case 'v':
		p.buf = append(p.buf, '\v')
	case '0', '1', '2', '3', '4', '5', '6', '7':
		r := rune(c - '0')
		for range 2 { // up to three digits in all
			if d := p.peek() - '0'; d < 8 {
				r = r*8 + rune(d)
				p.i++
			}
		}
		p.buf = utf8.AppendRune(p.buf, r)
	case 'x':
		return p.hex(at, 2)
	case 'u':
		return p.hex(at, 4)
	case 'U':
		return p.hex(at, 8)
	case 'N':
		return p.fail(at, `an escape other than \N`)
	default:
		// An unknown escape stands for itself, backslash included. The character
		// is left to the loop of quoted, which knows about UTF-8.
		p.buf = append(p.buf, '\\')
		p.i--
	}
	return true
}

// hex decodes width hexadecimal digits of the escape that began at offset at.
func (p *literal) hex(at, width int) bool {
	var r rune
	for range width {
		d := p.digit()
		if d > 15 {
			return p.fail(p.i, "a hexadecimal digit")
		}
		if r = r<<4 | rune(d); r > utf8.MaxRune {
			return p.fail(at, "a character up to U+10FFFF")
		}
		p.i++
	}
	p.buf = utf8.AppendRune(p.buf, r)
	return true
}

// appendRepr appends s as Python's repr does: in single quotes unless s has
// single and no double ones, and escaped where it cannot be printed. What can
// be printed differs from Python's view only by the version of Unicode.
func appendRepr(b []byte, s string) []byte {
	q := '\''
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		q = '"'
	}
	b = append(b, byte(q))
	for _, c := range s {
		switch {
		case c == q || c == '\\':
			b = append(b, '\\', byte(c))
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case unicode.IsPrint(c):
			b = append(b, string(c)...)
		case c <= 0xff:
			b = appendHex(append(b, `\x`...), c, 2)
		case c <= 0xffff:
			b = appendHex(append(b, `\u`...), c, 4)
		default:
			b = appendHex(append(b, `\U`...), c, 8)
		}
	}
	return append(b, byte(q))
}

// appendHex appends c in width hexadecimal digits.
func appendHex(b []byte, c rune, width int) []byte {
	for width--; width >= 0; width-- {
		b = append(b, "0123456789abcdef"[c>>(4*width)&15])
	}
	return b
}
