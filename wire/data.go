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
