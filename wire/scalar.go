package wire

// scalar steps over a string, bytes, a number, None, True, False, set() or an ellipsis.
func (p *literal) scalar(want string) bool {
	c := p.peek()
	switch {
	case p.strings() || p.bytes():
		return p.skipStrings()
	case len(p.b)-p.i >= 3 && string(p.b[p.i:p.i+3]) == "...":
		p.i += 3
		return true
	case isDigit(c) || c == '-' || c == '+' || c == '.':
		return p.number()
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
	case "set": // an empty one has no braces, for those are a dict
		if len(p.b)-end >= 2 && string(p.b[end:end+2]) == "()" {
			p.i = end + 2
			return true
		}
	}
	return p.fail(p.i, want)
}

func isLetter(c byte) bool { return c|0x20-'a' < 26 }
