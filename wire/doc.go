// Package wire is the text codec of MDALP: messages, the offer's list of
// receivers, and ranges of sequence numbers. It does no I/O, reads no clock
// and keeps no state.
//
// # Messages
//
// A message is one UDP datagram. In the notation of RFC 5234, with fields in
// this order and no other:
//
//	message = "Type:" number [";" [tid] [seq] [data]]
//	tid     = "TID:" number ";"
//	seq     = "SEQ:" number ";"
//	data    = "DATA:" *OCTET             ; up to the end of the datagram
//	number  = 1*DIGIT                    ; at most 2^63-1, leading zeros allowed
//
// The ";" after a number may be missing where the datagram ends. A type is at
// most 255. Names are matched with their case. Four types make the base protocol:
//
//	0  intent  client to orchestrator        Type:0;
//	1  offer   orchestrator to client        Type:1;TID:3740;DATA:[{'ip_address': '192.0.2.1'}];
//	2  data    client to receiver            Type:2;TID:3740;SEQ:30;DATA: and 1 to 100 raw bytes
//	3  ack     receiver to client            Type:3;TID:3740;SEQ:30;
//
// DATA is never trimmed, so a ";" at the end of a data message is payload.
// [ParseReceivers] and [ParseRanges] accept that ";" after what they read. A
// missing number is [Absent], and a negative one given to an Append function
// leaves its field out.
//
// # Offers
//
// The DATA of an offer is a literal of Python. The original client evaluates it
// as a program; this package reads the following and nothing else, in bounded
// depth, length and memory:
//
//	offer    = list [";"]
//	list     = "[" [receiver *("," receiver) [","]] "]" / the same in "(" ")"
//	receiver = "{" [string ":" value *("," string ":" value) [","]] "}"
//	value    = string / integer / "None" / "True" / "False" / sequence / dict
//	string   = 1*literal                 ; adjacent literals are joined
//	literal  = "'" *char "'" / DQUOTE *char DQUOTE
//	integer  = ["+" / "-"] digits        ; decimal, 0x, 0o or 0b, with "_" between digits
//	sequence = "[" [value *("," value) [","]] "]" / the same in "(" ")"
//	dict     = "{" [scalar ":" value *("," scalar ":" value) [","]] "}"
//	scalar   = a value other than sequence and dict
//
// White space (space, tab, CR, LF, form feed) may stand between tokens. Strings
// are UTF-8 and know Python's escapes (Python Language Reference, section 2.4.1)
// but for \N{...}. Parentheses always make a tuple, also around one item.
// Strings with a prefix (f'x', r'x', b'x') or triple quotes, floats, comments,
// a backslash between tokens, operators, calls and names are errors.
//
// # Ranges
//
// Ranges are sequence numbers in rising order, without overlap:
//
//	ranges = [range *("," range)] [";"]
//	range  = number ["-" number]         ; both ends belong to it
//
// # Errors
//
// Every error of this package is a [*SyntaxError].
package wire
