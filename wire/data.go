package wire

import (
	"bytes"
	"strconv"
)

// AppendDataPrefix appends what all data messages of transaction tid begin with, up to
// and with "SEQ:". A sender that keeps it has to write no more of a header than
// [AppendDataRest].
func AppendDataPrefix(b []byte, tid int64) []byte {
	b = append(b, "Type:2;"...)
	b = appendField(b, "TID:", tid)
	return append(b, "SEQ:"...)
}

// AppendDataRest appends what stands between [AppendDataPrefix] and the payload: the
// sequence number, which is not negative, and ";DATA:".
func AppendDataRest(b []byte, seq int64) []byte {
	return append(strconv.AppendInt(b, seq, 10), ";DATA:"...)
}

// LooksLikeOffer reports whether b begins as an offer does. What does not parse, and
// still looks like one, is a broken offer and no stray datagram.
func LooksLikeOffer(b []byte) bool {
	const begin = "Type:1"
	return len(b) >= len(begin) && string(b[:len(begin)]) == begin
}

// Quotes compares what an ICMP error quotes of a datagram, perhaps nothing at all, with the
// data message of a segment. agrees tells that there is no difference as far as it goes,
// and whole that it goes as far as the ";" behind the sequence number, so that it is of
// this segment and no other.
func Quotes(quote []byte, tid, seq int64) (agrees, whole bool) {
	want := AppendDataHeader(nil, tid, seq)
	want = want[:len(want)-lenData]
	n := min(len(quote), len(want))
	agrees = string(quote[:n]) == string(want[:n])
	return agrees, agrees && n == len(want)
}

// LooksLikeOurs reports whether b begins as every message of the protocol does, but for short
// segments. What does not parse, and still looks like one, was damaged or cut off.
func LooksLikeOurs(b []byte) bool { return len(b) >= lenType && string(b[:lenType]) == "Type:" }

// Head gives what a segment or an acknowledgement begins with, up to and with the ";" behind
// its TID: all of its kind in one transaction have that in common. It is nil where b begins
// otherwise.
func Head(b []byte) []byte {
	if isShort(b) {
		if _, i := number64(b, 2); i > 0 && i < len(b) && b[i] == ';' {
			return b[:i+1]
		}
		return nil
	}
	const kind, digits = lenType + 1, lenType + 2 + lenTID // "Type:2" and "Type:2;TID:"
	if len(b) < digits || !LooksLikeOurs(b) || string(b[kind:digits]) != ";TID:" {
		return nil
	}
	if t := Type(b[lenType] - '0'); t != Data && t != Ack {
		return nil
	}
	end := bytes.IndexByte(b[digits:], ';')
	if end < 0 {
		return nil
	}
	return b[:digits+end+1]
}
