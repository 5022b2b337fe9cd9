package wire

// integer reads an integer (Python Language Reference, section 2.4.5), also with the
// "L" behind it by which Python 2 writes large ones. A value beyond 64 bits, which
// Python knows and no key needs, becomes the nearest, and big is set.
func (p *literal) integer() (n int64, ok bool) {
	start := p.i
	p.big = false
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
			n, p.big = MaxNumber, true
		} else {
			n = n*base + d
		}
	}
	if base == 10 && n != 0 && p.b[first] == '0' {
		// Python refuses these, since they were octal once.
		return 0, p.fail(start, "an integer without leading zeros")
	}
	if p.peek()|0x20 == 'l' {
		p.i++
	}
	if neg {
		n = -n
	}
	return n, true
}

// fractional reports whether what follows makes a float or an imaginary number of the
// integer that was read.
func (p *literal) fractional() bool {
	switch p.peek() {
	case '.', 'e', 'E', 'j', 'J':
		return true
	}
	return false
}

// number steps over a number: an integer, a float, an imaginary one, or the sum of one
// and an imaginary one, which is how Python writes a complex number (Python Language
// Reference, sections 2.4.4 to 2.4.7).
func (p *literal) number() bool {
	imaginary, ok := p.real()
	for ok && !imaginary {
		p.space()
		if c := p.peek(); c != '+' && c != '-' {
			return true
		}
		if imaginary, ok = p.real(); ok && !imaginary {
			return p.fail(p.i, "an imaginary number")
		}
	}
	return ok
}

// real steps over a number with its sign, and tells whether a "j" made it imaginary.
func (p *literal) real() (imaginary, ok bool) {
	start := p.i
	q := *p
	_, whole := q.integer()
	if whole && !q.fractional() {
		*p = q
		return false, true
	}
	if c := p.peek(); c == '-' || c == '+' {
		p.i++
		p.space()
	}
	n := p.digits()
	if !p.fractional() && !whole {
		*p = q // the integer's error knows more of what was meant
		return false, false
	}
	if p.peek() == '.' {
		p.i++
		n += p.digits()
	}
	if n == 0 {
		return false, p.fail(start, "a number")
	}
	if p.peek()|0x20 == 'e' {
		p.i++
		if c := p.peek(); c == '-' || c == '+' {
			p.i++
		}
		if p.digits() == 0 {
			return false, p.fail(p.i, "a digit")
		}
	}
	if p.peek()|0x20 == 'j' {
		p.i++
		return true, true
	}
	if isLetter(p.peek()) || isDigit(p.peek()) {
		return false, p.fail(start, "a number")
	}
	return false, true
}

// digits steps over decimal digits, with single underscores between them, and counts
// them.
func (p *literal) digits() (n int) {
	for isDigit(p.peek()) || n > 0 && p.peek() == '_' && p.i+1 < len(p.b) && isDigit(p.b[p.i+1]) {
		if p.peek() != '_' {
			n++
		}
		p.i++
	}
	return n
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
