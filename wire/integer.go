package wire

// integer reads an integer (Python Language Reference, section 2.4.5). A value
// beyond 64 bits, which Python knows and no key needs, becomes the nearest.
func (p *literal) integer() (n int64, ok bool) {
	start := p.i
	neg := p.peek() == '-'
	if neg || p.peek() == '+' {
		p.i++
		p.space()
	}
	if !isDigit(p.peek()) {
		return 0, p.fail(start, "an integer")
	}
	base, first := int64(10), p.i
	if p.b[p.i] == '0' && p.i+1 < len(p.b) {
		switch p.b[p.i+1] | 0x20 {
		case 'x':
			base = 16
		case 'o':
			base = 8
		case 'b':
			base = 2
		}
		if base != 10 {
			p.i += 2
			if p.digit() >= base && p.peek() != '_' {
				return 0, p.fail(p.i, "a digit")
			}
		}
	}
	for {
		if p.peek() == '_' { // one at a time, and never the last
			p.i++
			if p.digit() >= base {
				return 0, p.fail(p.i, "a digit")
			}
		}
		d := p.digit()
		if d >= base {
			break
		}
		p.i++
		if n > (MaxNumber-d)/base {
			n = MaxNumber
		} else {
			n = n*base + d
		}
	}
	if base == 10 && n != 0 && p.b[first] == '0' {
		// Python refuses these, since they were octal once.
		return 0, p.fail(start, "an integer without leading zeros")
	}
	if neg {
		n = -n
	}
	return n, true
}

// digit returns the value of the next byte as a hexadecimal digit, or 16.
func (p *literal) digit() int64 {
	if p.i == len(p.b) {
		return 16
	}
	return int64(hexDigit(p.b[p.i]))
}

func hexDigit(c byte) rune {
	switch {
	case isDigit(c):
		return rune(c - '0')
	case c|0x20-'a' < 6:
		return rune(c|0x20-'a') + 10
	}
	return 16
}
