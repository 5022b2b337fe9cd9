package server

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostName is the longest name that a file may have (pathconf(3), _PC_NAME_MAX).
const mostName = 255

// ClientName is the file name of transaction tid's payload that its client calls name; empty
// when nothing of that is fit to be seen. The number stands before it, so that it is nobody
// else's, does not begin with a dot or a dash, and is neither "." nor "..".
func ClientName(tid int64, name string) string {
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

// IsWholeName reports whether name may be that of transaction tid's whole payload: the one of
// [WholeName], or one that [ClientName] gives. It is for names that others have written down. Theirs
// may know letters that this process does not, so that ClientName itself could not tell.
func IsWholeName(tid int64, name string) bool {
	n, suffix, ok := parseName(name)
	if !ok || n != tid || len(name) > mostName || !utf8.ValidString(name) {
		return false
	}
	return suffix == wholeSuffix || suffix == namedSuffix && !strings.ContainsFunc(name, func(r rune) bool {
		return r == '/' || r == '\\' || r == utf8.RuneError ||
			unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
	})
}
