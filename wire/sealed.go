package wire

import "encoding/base64"

// The messages by which a sealed transaction begins. What is in them is a matter of
// package seal; here is their text alone.

// A Handshake is the DATA of a sealed intent or of what answers it.
type Handshake struct {
	// Key is the start of the SHA-256 of the key, in 8 lower-case hexadecimal digits. It is
	// there in an intent, and empty in an answer.
	Key string
	// Noise is a message of the Noise handshake.
	Noise []byte
}

// keyDigits is the length of [Handshake.Key].
const keyDigits = 8

// AppendSealedIntent appends the intent of a client that has a key.
//
//	Type:0;DATA:{'key': '66687aad', 'noise': 'MTIzNA=='};
func AppendSealedIntent(b []byte, h *Handshake) []byte {
	b = append(b, "Type:0;DATA:{'key': '"...)
	b = append(b, h.Key...)
	return appendNoise(append(b, "', "...), h.Noise)
}

// AppendSealedOffer appends the answer to a sealed intent. tid is [Absent] where it is no
// offer yet.
//
//	Type:1;TID:7;DATA:{'noise': 'MTIzNA=='};
func AppendSealedOffer(b []byte, tid int64, noise []byte) []byte {
	b = append(b, "Type:1;"...)
	b = appendField(b, "TID:", tid)
	return appendNoise(append(b, "DATA:{"...), noise)
}

func appendNoise(b, noise []byte) []byte {
	b = append(b, "'noise': '"...)
	b = base64.StdEncoding.AppendEncode(b, noise)
	return append(b, "'};"...)
}

// ParseHandshake reads the DATA of a sealed intent or of what answers it: a dict with the
// string 'noise', in base64 (RFC 4648, section 4) with its padding. Keys that are not
// known are stepped over; the last of a repeated key holds. The error is a
// [*SyntaxError].
func ParseHandshake(b []byte) (h Handshake, err error) {
	p := literal{b: b, in: "handshake"}
	ok := p.dict(func(key string) bool {
		at := p.i
		switch key {
		case "key":
			text, is, ok := p.text()
			if ok && (!is || !validKey(text)) {
				return p.fail(at, "a string of 8 lower-case hexadecimal digits")
			}
			h.Key = text
			return ok
		case "noise":
			text, is, ok := p.text()
			if !ok {
				return false
			}
			if h.Noise, err = base64.StdEncoding.DecodeString(text); err != nil || !is {
				return p.fail(at, "a string in base64")
			}
			return true
		}
		return p.value()
	})
	if ok && len(h.Noise) == 0 {
		ok = p.fail(0, "a dict with the string 'noise'")
	}
	if !ok {
		return Handshake{}, p.err
	}
	return h, nil
}

func validKey(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == keyDigits
}

// AppendWait appends what a sealed answer holds that is no offer yet: the key is known, and
// the same intent may come again after so many milliseconds.
//
//	{'wait': 1000}
func AppendWait(b []byte, ms int64) []byte {
	b = append(b, "{'wait': "...)
	b = appendNumber(b, min(MaxWait, max(MinWait, ms)))
	return append(b, '}')
}

// ParseWait reads what [AppendWait] wrote. What is out of bounds is taken to the nearest
// that is not. The error is a [*SyntaxError].
func ParseWait(b []byte) (ms int64, err error) {
	p := literal{b: b, in: "wait"}
	ms = Absent
	ok := p.dict(func(key string) bool {
		if key == "wait" {
			return p.natural(&ms, true)
		}
		return p.value()
	})
	if ok && ms < 0 {
		ok = p.fail(0, "a dict with the number 'wait'")
	}
	if !ok {
		return 0, p.err
	}
	return min(MaxWait, max(MinWait, ms)), nil
}
