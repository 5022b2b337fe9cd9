package wire

// Limits of the literal in an offer. They bound memory and the stack whatever
// is received; a real offer stays far below all of them.
const (
	MaxDepth  = 16   // brackets within brackets, the outermost list being the first
	MaxItems  = 1024 // entries of one dict, or of one list that is stepped over
	MaxString = 4096 // bytes of one string, decoded to UTF-8
)

// A literal reads Python literals off b. Its methods report by ok whether they
// could; when not, err says why and nothing more may be read.
type literal struct {
	b     []byte
	i     int // next byte
	depth int
	buf   []byte // the last string, decoded
	err   *SyntaxError
}

// fail records the error and is false, to be returned as it is.
func (p *literal) fail(at int, want string) bool {
	p.err = syntaxError("offer", p.b, at, want)
	return false
}

// peek returns the next byte, or 0 at the end. A 0 byte in the input is no
// token either, so the two need not be told apart.
func (p *literal) peek() byte {
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

func (p *literal) space() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t', '\r', '\n', '\f':
			p.i++
		default:
			return
		}
	}
}

func (p *literal) colon() bool {
	p.space()
	if p.peek() != ':' {
		return p.fail(p.i, `":"`)
	}
	p.i++
	p.space()
	return true
}

// closing returns the bracket that closes open, or 0 if open is none.
func closing(open byte) byte {
	switch open {
	case '[':
		return ']'
	case '(':
		return ')'
	case '{':
		return '}'
	}
	return 0
}

// enter steps over an opening bracket and counts the depth.
func (p *literal) enter() bool {
	if p.depth == MaxDepth {
		return p.fail(p.i, "at most 16 levels of brackets")
	}
	p.depth++
	p.i++
	return true
}

// more steps to the next item within a bracket that holds n of at most limit so
// far, over the comma before it. At the closing bracket, which a comma may
// precede as in Python, it steps over that and leaves.
func (p *literal) more(closer byte, n, limit int) (more, ok bool) {
	p.space()
	if n > 0 && p.peek() != closer {
		if p.peek() != ',' {
			return false, p.fail(p.i, `"," or "`+string(closer)+`"`)
		}
		p.i++
		p.space()
	}
	if p.peek() == closer {
		p.i++
		p.depth--
		return false, true
	}
	if n == limit {
		return false, p.fail(p.i, "at most "+string(appendNumber(nil, int64(limit)))+" items")
	}
	return true, true
}

// value steps over a value of any kind.
func (p *literal) value() bool {
	switch c := p.peek(); c {
	case '[', '(':
		if !p.enter() {
			return false
		}
		for n := 0; ; n++ {
			more, ok := p.more(closing(c), n, MaxItems)
			if !ok || !more {
				return ok
			}
			if !p.value() {
				return false
			}
		}
	case '{':
		if !p.enter() {
			return false
		}
		for n := 0; ; n++ {
			more, ok := p.more('}', n, MaxItems)
			if !ok || !more {
				return ok
			}
			if !p.scalar("a key") || !p.colon() || !p.value() {
				return false
			}
		}
	}
	return p.scalar("a value")
}

// scalar steps over a string, an integer, None, True or False.
func (p *literal) scalar(want string) bool {
	c := p.peek()
	switch {
	case isQuote(c):
		_, ok := p.str()
		return ok
	case isDigit(c) || c == '-' || c == '+':
		_, ok := p.integer()
		return ok
	}
	end := p.i
	for end < len(p.b) && isLetter(p.b[end]) {
		end++
	}
	// What follows such a word is checked by who reads on: only a comma, a colon
	// or a bracket can.
	switch string(p.b[p.i:end]) {
	case "None", "True", "False":
		p.i = end
		return true
	}
	return p.fail(p.i, want)
}

func isLetter(c byte) bool { return c|0x20-'a' < 26 }
