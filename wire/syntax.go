package wire

import (
	"strconv"
	"unicode/utf8"
)

// A SyntaxError says where bytes from the network are not what the grammar
// asks for. Its text is one line of printable characters, whatever was received.
type SyntaxError struct {
	In     string // what was read: "message", "offer" or "ranges"
	Offset int    // of the fault, in bytes, counted from 0
	Want   string // what could have stood there, such as "a string"
	Got    string // quoted excerpt of at most 16 bytes of input, or "end"
}

// Error returns a line such as
//
//	offer: byte 16: want a string, got "__import__("
func (e *SyntaxError) Error() string {
	return e.In + ": byte " + strconv.Itoa(e.Offset) + ": want " + e.Want + ", got " + e.Got
}

// maxExcerpt bounds what of the input an error repeats, in bytes.
const maxExcerpt = 16

func syntaxError(in string, b []byte, at int, want string) *SyntaxError {
	return &SyntaxError{In: in, Offset: at, Want: want, Got: excerpt(b[at:])}
}

// excerpt quotes the start of b. It ends at the first byte that would end a
// word, as the rest of a hostile text helps nobody; a string literal is shown
// up to its closing quote.
func excerpt(b []byte) string {
	if len(b) == 0 {
		return "end"
	}
	n := 1
	quoted := b[0] == '\'' || b[0] == '"'
	for ; n < len(b) && n < maxExcerpt; n++ {
		c := b[n]
		if quoted && c == b[0] {
			n++
			break
		}
		if !quoted && endsWord(c) {
			break
		}
	}
	// Do not cut a character in two; three steps back reach the start of any.
	for back := 0; back < 3 && n > 1 && n < len(b) && !utf8.RuneStart(b[n]); back++ {
		n--
	}
	return strconv.Quote(string(b[:n]))
}

func endsWord(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', '\f', '\'', '"', ',', ';', ']', '}', ')':
		return true
	}
	return false
}
