package server

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostName is the longest name that a file may have (pathconf(3), _PC_NAME_MAX).
const mostName = 255

// cleanName is the file name of a payload that its client calls name; empty when nothing of
// that is fit to be seen. The number stands before it, so that it is nobody else's, does not
// begin with a dot or a dash, and is neither "." nor "..".
func cleanName(tid int64, name string) string {
	name = strings.Map(func(r rune) rune {
		// No separator of paths here or elsewhere, no control character, nothing that
		// turns what is read around.
		if r == '/' || r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, name)
	name = strings.TrimSpace(name)
	if name == "" {
		return ""
	}
	name = strconv.FormatInt(tid, 10) + namedSuffix + name
	for len(name) > mostName {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name
}
