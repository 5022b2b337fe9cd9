package wire

// The functions here write one message behind what b holds, as append does, and
// allocate only when b lacks the room. A negative number leaves its field out,
// so that what Parse gave can be written again.

// AppendIntent appends "Type:0;", by which a client asks for an offer.
func AppendIntent(b []byte) []byte {
	return append(b, "Type:0;"...)
}

// AppendOffer appends the offer of transaction tid to be sent to rs, in the
// form of the servers that the original client met:
//
//	Type:1;TID:3740;DATA:[{'ip_address': '192.0.2.1', 'name': 'A'}];
//
// It sets no limit to the length. The original client reads 1,024 bytes, UDP
// carries [MaxDatagram].
func AppendOffer(b []byte, tid int64, rs []Receiver) []byte {
	b = append(b, "Type:1;"...)
	b = appendField(b, "TID:", tid)
	b = append(b, "DATA:"...)
	b = AppendReceivers(b, rs)
	return append(b, ';')
}

// AppendData appends one segment: the header of [AppendDataHeader], then data.
func AppendData(b []byte, tid, seq int64, data []byte) []byte {
	return append(AppendDataHeader(b, tid, seq), data...)
}

// AppendDataHeader appends all of a data message that stands before the
// payload, up to and with "DATA:". A sender that reads its payload straight
// into the datagram has no slice to give to [AppendData].
func AppendDataHeader(b []byte, tid, seq int64) []byte {
	b = append(b, "Type:2;"...)
	b = appendField(b, "TID:", tid)
	b = appendField(b, "SEQ:", seq)
	return append(b, "DATA:"...)
}

// AppendAck appends the acknowledgement of segment seq.
func AppendAck(b []byte, tid, seq int64) []byte {
	b = append(b, "Type:3;"...)
	b = appendField(b, "TID:", tid)
	return appendField(b, "SEQ:", seq)
}

// appendField appends a name, n and ";", or nothing when n is negative.
func appendField(b []byte, name string, n int64) []byte {
	if n < 0 {
		return b
	}
	b = append(b, name...)
	b = appendNumber(b, n)
	return append(b, ';')
}
