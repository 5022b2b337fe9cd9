package usage

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds a text that is shown in a line of its own, in characters: more than any
// path has.
const maxText = 8192

// maxName bounds one that is shown in a table or a label.
const maxName = 60

// Text is a text that is not ours, made fit for a terminal: names of receivers come from
// strangers, and names of files and hosts may hold anything. What is not printable is
// spelled out as in Go's strings: line feeds, escape sequences, what turns the direction
// of writing, and bytes that are no UTF-8. Some terminals take 0x9b for the beginning of
// an escape sequence. What is very long is cut.
//
// Everything that the commands print and that they have not written themselves goes
// through it, or through [Name], [Line] or [Quote]. JSON has escapes of its own.
func Text(s string) string { return clean(s, maxText) }

// Name is Text for a table or a label: short.
func Name(s string) string { return clean(s, maxName) }

// Quote is Text between double quotes, for what may have blanks at its ends.
func Quote(s string) string {
	return `"` + strings.ReplaceAll(Text(s), `"`, `\"`) + `"`
}

// clean is Text with at most most characters.
func clean(s string, most int) string {
	if printable(s) && len(s) <= most {
		return s
	}
	var b strings.Builder
	for n := 0; len(s) > 0; n++ {
		if n == most {
			b.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[size:]
	}
	return b.String()
}

// printable reports whether s is printable ASCII, as nearly all is.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
