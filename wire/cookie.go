package wire

// CookieDigits is the length of a cookie: hexadecimal digits, of which only who made them
// knows what they mean.
const CookieDigits = 16

// NoCookie stands in a repeated intent for the cookie that its sender does not have yet. The
// answer has as many bytes as the question, so that a forged one multiplies nothing.
const NoCookie = "0000000000000000"

// AppendCookieIntent appends the intent of a client that can show by a cookie that it is where
// it says; [NoCookie] asks for one.
//
//	Type:0;DATA:{'cookie': '0000000000000000'};
func AppendCookieIntent(b []byte, cookie string) []byte {
	return appendCookie(append(b, "Type:0;"...), cookie)
}

// AppendCookie appends the answer to an intent with a cookie that is not good: one that is.
//
//	Type:1;DATA:{'cookie': '6f1d2a90c3b4e587'};
func AppendCookie(b []byte, cookie string) []byte {
	return appendCookie(append(b, "Type:1;"...), cookie)
}

func appendCookie(b []byte, cookie string) []byte {
	b = append(b, "DATA:{'cookie': '"...)
	b = append(b, cookie...)
	return append(b, "'};"...)
}

// ParseCookie reads the cookie in the DATA of an intent or of what answers it: a dict with the
// string 'cookie', of 16 lower-case hexadecimal digits. Keys that are not known are stepped
// over; the last of a repeated key holds. Of any other DATA ok is false: it has no cookie.
func ParseCookie(b []byte) (cookie string, ok bool) {
	p := literal{b: b, in: "cookie"}
	ok = p.dict(func(key string) (ok bool) {
		if key != "cookie" {
			return p.value()
		}
		cookie, _, ok = p.text()
		return ok
	})
	return cookie, ok && validCookie(cookie)
}

func validCookie(s string) bool {
	for _, c := range []byte(s) {
		if !isDigit(c) && (c < 'a' || 'f' < c) {
			return false
		}
	}
	return len(s) == CookieDigits
}
