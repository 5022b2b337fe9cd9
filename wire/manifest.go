package wire

import (
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the extended protocol.
const (
	MaxManifest = 1200 // bytes of a whole manifest, and of a whole state
	MaxName     = 255  // bytes of a payload's name
	MinSegment  = 100  // bytes: the least and the most that a segment may carry
	MaxSegment  = 65000
	MaxWindow   = 1 << 20 // segments: the most that a receiver may say it takes
)

// A Manifest is what a client says of its payload (Type 4).
type Manifest struct {
	Bytes int64 // of the payload
	Seg   int64 // bytes of each segment but the last
	// Name is for people; it is no path. Empty when absent.
	Name string
	// Resume is the transaction whose segments are to be taken over, or Absent.
	Resume int64
	// From asks for no SEQ below it.
	From int64
	// SHA256 is the payload's digest in lower-case hexadecimal digits; it asks for the
	// verdict. Empty when absent.
	SHA256 string
}

// AppendManifest appends a manifest of transaction tid; seq counts the client's.
//
//	Type:4;TID:7;SEQ:0;DATA:{'bytes': 5000000, 'seg': 1200};
func AppendManifest(b []byte, tid, seq int64, m *Manifest) []byte {
	b = append(b, "Type:4;"...)
	b = appendField(b, "TID:", tid)
	b = appendField(b, "SEQ:", seq)
	b = append(b, "DATA:{'bytes': "...)
	b = appendNumber(b, m.Bytes)
	b = append(b, ", 'seg': "...)
	b = appendNumber(b, m.Seg)
	if m.Name != "" {
		b = append(b, ", 'name': "...)
		b = appendRepr(b, m.Name)
	}
	if m.Resume >= 0 {
		b = append(b, ", 'resume': "...)
		b = appendNumber(b, m.Resume)
	}
	if m.From > 0 {
		b = append(b, ", 'from': "...)
		b = appendNumber(b, m.From)
	}
	if m.SHA256 != "" {
		b = append(b, ", 'sha256': "...)
		b = appendRepr(b, m.SHA256)
	}
	return append(b, "};"...)
}

// ParseManifest reads the DATA of a manifest: a dict with whole numbers 'bytes' and
// 'seg'. Keys that are not known are stepped over; the last of a repeated key holds.
// The error is a [*SyntaxError]: such a datagram is dropped. A value that is out of its
// range is no error of syntax, and draws an answer: refusal says in a few words what is
// wrong with it, and is empty when nothing is.
func ParseManifest(b []byte) (m Manifest, refusal string, err error) {
	m = Manifest{Bytes: Absent, Seg: Absent, Resume: Absent}
	p := literal{b: b, in: "manifest"}
	wrong := func(why string) {
		if refusal == "" {
			refusal = why
		}
	}
	ok := p.dict(func(key string) bool {
		switch key {
		case "bytes":
			return p.natural(&m.Bytes, true)
		case "seg":
			return p.natural(&m.Seg, true)
		case "resume", "from":
			n := int64(Absent)
			if !p.natural(&n, false) {
				return false
			}
			if n == Absent {
				wrong("'" + key + "' is no whole number")
			} else if key == "resume" {
				m.Resume = n
			} else {
				m.From = n
			}
			return true
		case "name", "sha256":
			s, is, ok := p.text()
			if !ok {
				return false
			}
			switch {
			case key == "name" && (!is || !validName(s)):
				wrong("'name' is no name")
			case key == "name":
				m.Name = s
			case !is || !validDigest(s):
				wrong("'sha256' is not 64 hexadecimal digits")
			default:
				m.SHA256 = s
			}
			return true
		}
		return p.value()
	})
	switch {
	case !ok:
		return m, "", p.err
	case m.Bytes == Absent || m.Seg == Absent:
		p.fail(0, "a dict with whole numbers 'bytes' and 'seg'")
		return m, "", p.err
	case m.Bytes < 1:
		wrong("'bytes' is less than 1")
	case m.Seg < 1 || m.Seg > MaxSegment || m.Seg < MinSegment && m.Bytes > m.Seg:
		wrong("'seg' is not 100 to 65000")
	}
	return m, refusal, nil
}

// validName reports whether s may be the name of a payload.
func validName(s string) bool {
	return len(s) <= MaxName && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || unicode.IsControl(r)
	})
}

func validDigest(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 64 && s == strings.ToLower(s)
}
