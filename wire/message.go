package wire

import "strconv"

// A Type says what a message is for. Numbers from 4 to 255 parse, so that a
// newer peer is told apart from a broken one; what they mean is the caller's
// matter.
type Type uint8

// The types of the base protocol, and from Manifest on those of the extended one.
const (
	Intent Type = 0 // a client asks the orchestrator for a transaction
	Offer  Type = 1 // the orchestrator gives a transaction id and receivers
	Data   Type = 2 // one segment of the payload, client to receiver
	Ack    Type = 3 // a receiver has the segment, or segments

	ManifestType Type = 4 // a client announces its payload, or asks how it stands
	StateType    Type = 5 // the orchestrator tells how a transaction stands
)

// String returns the name of t, such as "ack", or "type 9" for an unknown type.
func (t Type) String() string {
	switch t {
	case Intent:
		return "intent"
	case Offer:
		return "offer"
	case Data:
		return "data"
	case Ack:
		return "ack"
	case ManifestType:
		return "manifest"
	case StateType:
		return "state"
	}
	return "type " + strconv.Itoa(int(t))
}

// Absent is the value of a number field that a message does not have. No field
// that is there has it, as there are no negative numbers on the wire.
const Absent = -1

// MaxDatagram is the most payload that a UDP datagram carries over IPv4, in
// bytes: 65,535 less the headers of IPv4 and UDP (RFC 791, section 3.1; RFC 768).
const MaxDatagram = 65507

// A Message is one datagram, taken apart.
type Message struct {
	Type Type
	TID  int64 // transaction id, or Absent
	Seq  int64 // sequence number of a segment, or of an extended message, or Absent
	Num  int64 // number of a transmission in the extended protocol, or Absent

	// Data is all that follows "DATA:". It is nil when the field is missing and
	// not nil, if perhaps empty, when it is there. It aliases the parsed bytes.
	Data []byte
}

// The widths of the names, so that a comparison and a step cannot disagree.
const (
	lenType = len("Type:")
	lenTID  = len("TID:")
	lenSeq  = len("SEQ:")
	lenNum  = len("NUM:")
	lenData = len("DATA:")
)

// Parse takes a datagram apart, as the package comment has its grammar, that of the
// extended protocol included. It does not judge whether the fields suit the type: an ack
// without SEQ parses. It does not allocate unless it fails; the error is a [*SyntaxError].
func Parse(b []byte) (Message, error) {
	m := Message{TID: Absent, Seq: Absent, Num: Absent}

	// A comparison of a converted constant-length slice compiles to one or two
	// loads and copies nothing. The same goes for the fields below.
	if len(b) < lenType || string(b[:lenType]) != "Type:" {
		if isShort(b) {
			return parseShort(b)
		}
		return fail(b, 0, `"Type:"`)
	}
	n, i := number(b, lenType)
	if i == 0 || n > 255 {
		return failNumber(b, lenType, "a type up to 255")
	}
	m.Type = Type(n)
	if i == len(b) {
		return m, nil
	}
	if b[i] != ';' {
		return fail(b, i, `";"`)
	}
	i++
	digits := 0 // of the longest number: the extended protocol has a bound
	want := `"TID:", "SEQ:", "NUM:", "DATA:" or the end`

	if len(b)-i >= lenTID && string(b[i:i+lenTID]) == "TID:" {
		at := i + lenTID
		if m.TID, i = number(b, at); i == 0 {
			return failNumber(b, at, wantNumber)
		}
		digits = i - at
		if i < len(b) {
			if b[i] != ';' {
				return fail(b, i, `";"`)
			}
			i++
		}
		want = `"SEQ:", "NUM:", "DATA:" or the end`
	}

	if len(b)-i >= lenSeq && string(b[i:i+lenSeq]) == "SEQ:" {
		at := i + lenSeq
		if m.Seq, i = number(b, at); i == 0 {
			return failNumber(b, at, wantNumber)
		}
		digits = max(digits, i-at)
		if i < len(b) {
			if b[i] != ';' {
				return fail(b, i, `";"`)
			}
			i++
		}
		want = `"NUM:", "DATA:" or the end`
	}

	// NUM is looked for where DATA is not: the base protocol does not pay for it.
	for {
		if digits > MaxDigits && (m.Type >= ManifestType || m.Num != Absent) {
			return fail(b, 0, "numbers of at most 19 digits")
		}
		if i == len(b) {
			return m, nil
		}
		if len(b)-i >= lenData && string(b[i:i+lenData]) == "DATA:" {
			// The capacity is cut as well: an append to Data must not write into
			// what the caller keeps behind the datagram.
			m.Data = b[i+lenData : len(b) : len(b)]
			return m, nil
		}
		if m.Num != Absent || len(b)-i < lenNum || string(b[i:i+lenNum]) != "NUM:" {
			return fail(b, i, want)
		}
		at := i + lenNum
		if m.Num, i = number(b, at); i == 0 {
			return failNumber(b, at, wantNumber)
		}
		digits = max(digits, i-at)
		if i < len(b) {
			if b[i] != ';' {
				return fail(b, i, `";"`)
			}
			i++
		}
		want = `"DATA:" or the end`
	}
}

// fail is kept out of Parse's body, which stays small and free of allocation.
//
//go:noinline
func fail(b []byte, at int, want string) (Message, error) {
	return Message{TID: Absent, Seq: Absent, Num: Absent}, syntaxError("message", b, at, want)
}

// failNumber tells why no number could be read at offset at: there is none, or
// it is more than limit allows.
//
//go:noinline
func failNumber(b []byte, at int, limit string) (Message, error) {
	if at == len(b) || !isDigit(b[at]) {
		limit = "a digit"
	}
	return fail(b, at, limit)
}
