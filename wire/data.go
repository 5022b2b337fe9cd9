package wire

import "strconv"

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

// ParseDataPrefix reads transaction and segment of a data message of which only the
// beginning is known, as an ICMP error quotes it. ok is false when b ends before the ";"
// behind the sequence number, or is no data message.
func ParseDataPrefix(b []byte) (tid, seq int64, ok bool) {
	const begin = "Type:2;TID:"
	if len(b) < len(begin) || string(b[:len(begin)]) != begin {
		return 0, 0, false
	}
	tid, i := number(b, len(begin))
	if i == 0 || len(b)-i < 1+lenSeq || string(b[i:i+1+lenSeq]) != ";SEQ:" {
		return 0, 0, false
	}
	seq, i = number(b, i+1+lenSeq)
	return tid, seq, i != 0 && i < len(b) && b[i] == ';'
}
