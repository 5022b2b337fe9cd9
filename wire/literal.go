package wire

// Limits of a literal, that of an offer for one. They bound memory and the stack whatever
// is received; a real offer stays far below all of them.
const (
	MaxDepth  = 16   // brackets within brackets, the outermost list being the first
	MaxItems  = 1024 // entries of one dict, or of one list that is stepped over
	MaxString = 4096 // bytes of one string, decoded to UTF-8, that is not stepped over
)

// A literal reads Python literals off b. Its methods report by ok whether they
// could; when not, err says why and nothing more may be read.
type literal struct {
	b     []byte
	in    string // what is read, for errors
	i     int    // next byte
	depth int
	big   bool   // the last integer was beyond MaxNumber
	buf   []byte // the last string, decoded
	err   *SyntaxError
}

// fail records the error and is false, to be returned as it is.
func (p *literal) fail(at int, want string) bool {
	p.err = syntaxError(p.in, p.b, at, want)
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

// dict reads a whole literal that is a dict, with white space and one ";" behind it. For
// each key it calls value, which reads what belongs to it; key is empty when it is none
// that is known.
func (p *literal) dict(value func(key string) bool) bool {
	p.space()
	if p.peek() != '{' {
		return p.fail(p.i, "a dict")
	}
	if !p.entries(value) {
		return false
	}
	return p.end()
}

// entries reads a dict from its opening brace to the closing one.
func (p *literal) entries(value func(key string) bool) bool {
	if !p.enter() {
		return false
	}
	for n := 0; ; n++ {
		more, ok := p.more('}', n, MaxItems)
		if !ok || !more {
			return ok
		}
		key := ""
		if p.strings() {
			s, ok := p.str()
			if !ok {
				return false
			}
			key = known(s)
		} else if !p.value() {
			return false
		}
		if !p.colon() || !value(key) {
			return false
		}
	}
}

// known gives a key that this package has a meaning for, and "" for any other. The
// constant takes no memory.
func known(key []byte) string {
	switch string(key) {
	case "ip_address":
		return "ip_address"
	case "name":
		return "name"
	case "port":
		return "port"
	case "seg":
		return "seg"
	case "win":
		return "win"
	case "short":
		return "short"
	case "bytes":
		return "bytes"
	case "resume":
		return "resume"
	case "from":
		return "from"
	case "sha256":
		return "sha256"
	case "state":
		return "state"
	case "have":
		return "have"
	case "comment":
		return "comment"
	case "wait":
		return "wait"
	case "upto":
		return "upto"
	case "key":
		return "key"
	case "noise":
		return "noise"
	case "cookie":
		return "cookie"
	}
	return ""
}

// end steps over what may stand behind a literal.
func (p *literal) end() bool {
	p.space()
	if p.peek() == ';' {
		p.i++
		p.space()
	}
	if p.i < len(p.b) {
		return p.fail(p.i, "the end")
	}
	return true
}

// text reads a string; of anything else, which it steps over, is is false.
func (p *literal) text() (s string, is, ok bool) {
	if !p.strings() {
		return "", false, p.value()
	}
	b, ok := p.str()
	return string(b), ok, ok
}

// natural reads a whole number, an integer from 0 to MaxNumber, into n. What is none is an
// error where it is must, and else stepped over with n as it was.
func (p *literal) natural(n *int64, must bool) bool {
	at := p.i
	if c := p.peek(); isDigit(c) || c == '+' {
		q := *p
		if v, ok := q.integer(); ok && !q.fractional() {
			switch {
			case !q.big:
				*p, *n = q, v
				return true
			case must:
				return p.fail(at, wantNumber)
			}
		}
	}
	if must {
		return p.fail(at, "a whole number")
	}
	return p.value()
}

// value steps over a literal of any kind that Python has, as ast.literal_eval takes
// them: a key that nobody asked for must not spoil an offer.
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
		return p.dictOrSet()
	}
	return p.scalar("a value")
}

// dictOrSet steps over either. What follows the first item tells which it is.
func (p *literal) dictOrSet() bool {
	if !p.enter() {
		return false
	}
	pairs := false
	for n := 0; ; n++ {
		more, ok := p.more('}', n, MaxItems)
		if !ok || !more {
			return ok
		}
		if !p.value() {
			return false
		}
		p.space()
		if n == 0 {
			pairs = p.peek() == ':'
		}
		if pairs && (!p.colon() || !p.value()) {
			return false
		}
	}
}
