package table

import (
	"strings"
	"unicode"
)

// Columns is how many columns of a terminal a text takes that is fit for one. Marks go
// upon the letter before them, and the letters of East Asia take two columns, as do
// pictures (Unicode Standard Annex 11).
func Columns(s string) (n int) {
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// wideScripts are those of East Asia.
var wideScripts = []*unicode.RangeTable{unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana,
	unicode.Bopomofo, unicode.Yi}

// runeColumns is columns of a letter. What is in doubt takes two: a line that is too short
// looks odd, one that is too long is broken into two.
func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1F000, r >= 0x3000 && r < 0x3100, r >= 0xFF00,
		r >= 0x231A && r < 0x2E80 && unicode.Is(unicode.So, r),
		unicode.In(r, wideScripts...):
		return 2
	}
	return 1
}

// Clip cuts s after n columns.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s // no text has more columns than bytes
	}
	for i, r := range s {
		if n -= runeColumns(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

// Cut is clip for a name, of which it shows that there was more.
func Cut(s string, n int) string {
	if Columns(s) <= n {
		return s
	}
	return Clip(s, max(0, n-2)) + ".."[:min(2, n)]
}

// Fill appends blanks to s, up to n columns.
func Fill(s string, n int) string { return s + strings.Repeat(" ", max(0, n-Columns(s))) }
