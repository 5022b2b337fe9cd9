// Package wire is the text codec of MDALP: messages, the offer's list of
// receivers, and ranges of sequence numbers. It does no I/O, reads no clock
// and keeps no state.
//
// # Messages
//
// A message is one UDP datagram. In the notation of RFC 5234, with fields in
// this order and no other:
//
//	message = "Type:" number [";" [tid] [seq] [num] [data]]
//	tid     = "TID:" number ";"
//	seq     = "SEQ:" number ";"
//	num     = "NUM:" number ";"
//	data    = "DATA:" *OCTET             ; up to the end of the datagram
//	number  = 1*DIGIT                    ; at most 2^63-1, leading zeros allowed
//
//	short   = "2;" n64 ";" n64 ";" n64 ";" *OCTET   ; TID, SEQ, NUM and DATA of a segment
//	n64     = 1*11(ALPHA / DIGIT / "-" / "_")       ; to the base 64, at most 2^63-1
//
// The ";" after a number may be missing where the datagram ends. A type is at
// most 255. Names are matched with their case. In a message with NUM, or of a type
// from 4 on, a number has at most 19 digits. Four types make the base protocol:
//
//	0  intent  client to orchestrator        Type:0;
//	1  offer   orchestrator to client        Type:1;TID:3740;DATA:[{'ip_address': '192.0.2.1'}];
//	2  data    client to receiver            Type:2;TID:3740;SEQ:30;DATA: and 1 to 100 raw bytes
//	3  ack     receiver to client            Type:3;TID:3740;SEQ:30;
//
// and the extended protocol has two more, and NUM:
//
//	2  segment   client to receiver          Type:2;TID:7;SEQ:41;NUM:57;DATA: and the bytes
//	3  ack       receiver to client          Type:3;TID:7;SEQ:12;NUM:57;DATA:55-57,30-52;
//	4  manifest  client to orchestrator      Type:4;TID:7;SEQ:0;DATA:{'bytes': 5000000, 'seg': 1200};
//	5  state     orchestrator to client      Type:5;TID:7;SEQ:0;DATA:{'state': 'open', 'have': '0-40,45'};
//	2  segment   the same in the short form  2;H;p;5; and the bytes
//
// Digits to the base 64 are those of RFC 4648, section 5: A is 0, a is 26, 0 is 52, - is 62 and
// _ is 63; the first counts most.
//
// A sealed transaction begins with others of type 0 and 1:
//
//	0  intent    client to orchestrator      Type:0;DATA:{'key': '66687aad', 'noise': 'MTIzNA=='};
//	1  answer    orchestrator to client      Type:1;TID:7;DATA:{'noise': 'MTIzNA=='};
//
// A repeated intent, and what answers it in place of an offer, may have a cookie:
//
//	0  intent  client to orchestrator        Type:0;DATA:{'cookie': '0000000000000000'};
//	1  cookie  orchestrator to client        Type:1;DATA:{'cookie': '6f1d2a90c3b4e587'};
//
// DATA is never trimmed, so a ";" at the end of a data message is payload. What reads
// other DATA accepts that ";". A missing number is [Absent], and a negative one given to
// an Append function leaves its field out.
//
// # Literals
//
// The DATA of an offer, a manifest and a state is a literal of Python. The original
// client evaluates an offer as a program; this package reads the following and nothing
// else, in bounded depth, length and memory:
//
//	offer    = list [";"]
//	list     = "[" [receiver *("," receiver) [","]] "]" / the same in "(" ")"
//	receiver = dict                      ; with the key 'ip_address'
//	manifest = dict [";"]                ; with the keys 'bytes' and 'seg'
//	state    = dict [";"]                ; with the key 'state'
//	sealed   = dict [";"]                ; with the key 'noise', and in an intent 'key'
//	cookie   = dict [";"]                ; with the key 'cookie'
//	dict     = "{" [value ":" value *("," value ":" value) [","]] "}"
//	value    = string / bytes / number / "None" / "True" / "False" / "..." / sequence / set / dict
//	string   = 1*literal                 ; adjacent literals are joined
//	literal  = [u / r / ur] quoted       ; in either case
//	bytes    = 1*([b / rb / br] quoted)  ; in either case
//	quoted   = "'" *char "'" / DQUOTE *char DQUOTE / the same with three quotes
//	number   = integer / float / [integer / float] imaginary
//	integer  = ["+" / "-"] digits ["L"]  ; decimal, 0x, 0o or 0b, with "_" between digits
//	float    = ["+" / "-"] digits with a point or an exponent
//	imaginary = (integer / float) "j"
//	sequence = "[" [value *("," value) [","]] "]" / the same in "(" ")"
//	set      = "{" value *("," value) [","] "}"
//
// White space (space, tab, CR, LF, form feed) may stand between tokens. Strings
// are UTF-8 and know Python's escapes (Python Language Reference, section 2.4.1)
// but for \N{...}. Parentheses always make a tuple, also around one item. Keys that are
// not known are stepped over with their value. What a known key must hold is a string or
// an integer. Formatted strings (f'x'), comments, a backslash between tokens, operators,
// calls and names are errors.
//
// # Ranges
//
// Ranges are sequence numbers in rising order, without overlap. Those of an extended
// acknowledgement are NUMs and fall, with gaps between; the first ends at the NUM of the
// message, and there are at most 32.
//
//	ranges = [range *("," range)] [";"]
//	range  = number ["-" number]         ; both ends belong to it
//
// # Errors
//
// Every error of this package is a [*SyntaxError].
package wire
