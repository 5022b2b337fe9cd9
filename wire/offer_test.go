package wire_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mdalp/wire"
)

// offers are texts that ParseReceivers takes. Those that Python reads as a list
// or tuple of dicts were checked against its own reading.
var offers = []struct {
	in   string
	want []wire.Receiver
}{
	{captured, []wire.Receiver{
		{Host: "177.71.168.45", Name: "5th Receiver"},
		{Host: "54.200.52.112", Name: "4th Receiver"},
		{Host: "18.134.193.153", Name: "2nd Receiver"},
	}},
	// The shape of the list.
	{"[]", nil},
	{"()", nil},
	{"[{'ip_address':'h'}];", hosts("h")},
	{" \t\r\n\f[ { 'ip_address' : 'h' , } , ] \n; \n", hosts("h")},
	{"[{'ip_address':'h'},{'ip_address':'i'},]", hosts("h", "i")},
	{"({'ip_address':'h'},)", hosts("h")},
	{"({'ip_address':'h'},{'ip_address':'i'})", hosts("h", "i")},
	{"({'ip_address':'h'})", hosts("h")}, // a dict to Python
	// Hosts, verbatim.
	{"[{'ip_address': '2001:db8::1'}]", hosts("2001:db8::1")},
	{"[{'ip_address': 'fe80::1%eth0'}]", hosts("fe80::1%eth0")},
	{"[{'ip_address': 'receiver.example.org'}]", hosts("receiver.example.org")},
	{"[{'ip_address': ' not checked here '}]", hosts(" not checked here ")},
	// Keys: any order, unknown ones, repeated ones.
	{"[{'port': 5000, 'name': 'n', 'ip_address': 'h'}]", []wire.Receiver{{Host: "h", Name: "n", Port: 5000}}},
	{"[{'seg': 1200, 'win': 64, 'ip_address': 'h', 'fin': 1}]", window(1200, 64)},
	{"[{'ip_address': 'h', 'seg': 100, 'win': 1}]", window(100, 1)},
	{"[{'ip_address': 'h', 'seg': 65000, 'win': 1048576}]", window(65000, 1048576)},
	{"[{'ip_address': 'h', 'seg': 65001, 'win': 1048577}]", hosts("h")},
	{"[{'ip_address': 'h', 'seg': 99, 'win': 0}]", hosts("h")},
	{"[{'ip_address': 'h', 'seg': '1200', 'win': None}]", hosts("h")},
	{"[{'ip_address': 'h', 'seg': 1200.0, 'win': -64}]", hosts("h")},
	{"[{'ip_address': 'h', 'seg': 100, 'win': 1, 'short': 1}]", []wire.Receiver{{Host: "h", Seg: 100, Win: 1, Short: true}}},
	{"[{'ip_address': 'h', 'short': 1, 'short': 2}]", hosts("h")},
	{"[{'ip_address': 'h', 'short': True}]", hosts("h")},
	// Keys that nobody asked for hold what they like.
	{"[{'ip_address': 'h', 'x': 1.5, 'y': [.5, 5., 1e9, 1E-9, 1_0.0_1, -2.5e+3, 0777.5]}]", hosts("h")},
	{"[{'ip_address': 'h', 'x': 1j, 'y': (3+4j), 'z': -1.5 - .5J, 'w': 1e3j}]", hosts("h")},
	{"[{'ip_address': 'h', 'x': set(), 'y': [set(), {1}]}]", hosts("h")},
	{`[{'ip_address': 'h', 'x': b'\x00\'', 'y': B"x" b'y', 'z': rb'\d', 'w': bR'''a` + "\n" + `'b'''}]`, hosts("h")},
	{"[{'ip_address': 'h', 'x': {1, 2}, 'y': {'a', (1, 2), }, 'z': {1.5: {}}, 'w': {(1, 2): 3}}]", hosts("h")},
	{`[{'ip_address': 'h', 'x': """a 'b' "c"` + "\n" + `d""", 'y': '''\'''''', 'z': u'' u'x' 'y', 'w': Ur'\x', 'v': ...}]`, hosts("h")},
	{"[{'ip_address': 'h', 'x': 12L, 'port': 4650L}]", port(4650)},
	{"[{'ip_address': 'h', 1: 2, b'name': 'no', None: 3, (1, 2): 4, 1.5: 5, {1, 2}: 6}]", hosts("h")},
	// Servers in Python 2 print strings so.
	{"[{u'ip_address': u'192.0.2.1', U'name': u'A' 'B'}]", []wire.Receiver{{Host: "192.0.2.1", Name: "AB"}}},
	{`[{r'ip_address': r'h', R'name': R'a\n\'b'}]`, name(`a\n\'b`)},
	{`[{'''ip_address''': """h""", 'name': '''it's` + "\n" + `"two" lines'''}]`, name("it's\n\"two\" lines")},
	{"[{'ip_address': 'h', 'x': [1, (2, {'y': {}, 3: None, None: [()]}), 'z'], 'w': (True, False)}]", hosts("h")},
	{"[{'ip_address': 'h', 'ip_address': 'i', 'name': 'a', 'name': 'b', 'port': 1, 'port': 2}]", []wire.Receiver{{Host: "i", Name: "b", Port: 2}}},
	{"[{'ip_address': 'h', 'name': 'a', 'name': None}]", hosts("h")},
	{"[{'ip_address': 'h', 'name': ''}]", hosts("h")},
	{"[{'ip_address': 'h', 'name': [1]}]", hosts("h")},
	{"[{'IP_ADDRESS': 'no', 'ip_address ': 'no', '': 'no', 'ip_address': 'h'}]", hosts("h")},
	// Integers.
	{"[{'ip_address': 'h', 'port': 1}]", port(1)},
	{"[{'ip_address': 'h', 'port': 65535}]", port(65535)},
	{"[{'ip_address': 'h', 'port': +4_650}]", port(4650)},
	{"[{'ip_address': 'h', 'port': + 4650}]", port(4650)},
	{"[{'ip_address': 'h', 'port': 0x12_2a}]", port(0x122a)},
	{"[{'ip_address': 'h', 'port': 0X_122A}]", port(0x122a)},
	{"[{'ip_address': 'h', 'port': 0o11052}]", port(0o11052)},
	{"[{'ip_address': 'h', 'port': 0B101}]", port(5)},
	{"[{'ip_address': 'h', 'x': -99999999999999999999999999, 'y': 0_0, 'z': 00}]", hosts("h")},
	{"[{'ip_address': 'h', 'seg': 9223372036854775808, 'win': 99999999999999999999, 'short': 18446744073709551617}]", hosts("h")},
	// Strings.
	{`[{"ip_address": "h"}]`, hosts("h")},
	{`[{"ip_" 'address': 'h' "" 'o'` + "\n" + `'st'}]`, hosts("host")},
	{`[{'ip_address': 'h', 'name': "it's"}]`, name(`it's`)},
	{`[{'ip_address': 'h', 'name': 'say "x"'}]`, name(`say "x"`)},
	{`[{'ip_address': 'h', 'name': 'it\'s "x"'}]`, name(`it's "x"`)},
	{`[{'ip_address': 'h', 'name': '\\\'\"\a\b\f\n\r\t\v'}]`, name("\\'\"\a\b\f\n\r\t\v")},
	{`[{'ip_address': 'h', 'name': '\0\7\1018\60\777\18'}]`, name("\x00\x07A80\u01ff\x018")},
	{`[{'ip_address': 'h', 'name': '\x41\xe9\xFF'}]`, name("A\u00e9\u00ff")},
	{`[{'ip_address': 'h', 'name': '\u20ac\u20AC\U0001F600'}]`, name("\u20ac\u20ac\U0001F600")},
	{`[{'ip_address': 'h', 'name': '\q\ \.\é\9'}]`, name(`\q\ \.\é\9`)},
	{"[{'ip_address': 'h', 'name': 'a\\\nb\\\rc\\\r\nd'}]", name("abcd")},
	{"[{'ip_address': 'h', 'name': 'S\u00e3o Paulo \U0001F600\ufffd'}]", name("S\u00e3o Paulo \U0001F600\ufffd")},
	{`[{'ip_address': 'h', 'name': '# ; ] } , :'}]`, name("# ; ] } , :")},
	// Half a surrogate pair, which a string of Go cannot hold.
	{`[{'ip_address': 'h', 'name': '\ud83d'}]`, name("\ufffd")},
	{`[{'\x69p_address': 'h'}]`, hosts("h")},
}

func hosts(names ...string) (rs []wire.Receiver) {
	for _, n := range names {
		rs = append(rs, wire.Receiver{Host: n})
	}
	return rs
}

func port(n uint16) []wire.Receiver       { return []wire.Receiver{{Host: "h", Port: n}} }
func window(seg, win int) []wire.Receiver { return []wire.Receiver{{Host: "h", Seg: seg, Win: win}} }
func name(s string) []wire.Receiver       { return []wire.Receiver{{Host: "h", Name: s}} }

// offerRefusals are texts that ParseReceivers refuses, with what a user reads.
var offerRefusals = []struct{ in, want string }{
	// Programs, and parts of the language that are no plain data.
	{`__import__('os').system('id')`, `offer: byte 0: want a list, got "__import__("`},
	{`[__import__('os').system('id')]`, `offer: byte 1: want a dict, got "__import__("`},
	{`[{'ip_address': __import__('os').system('id')}]`, `offer: byte 16: want a string, got "__import__("`},
	{`[{'ip_address': 'h', 'x': __import__('os')}]`, `offer: byte 26: want a value, got "__import__("`},
	{`[{'ip_address': 'h', 'port': open('x')}]`, `offer: byte 29: want an integer, got "open("`},
	{`[{'ip_address': 'h'}, exit()]`, `offer: byte 22: want a dict, got "exit("`},
	{`[{'ip_address': 'h'}][0]`, `offer: byte 21: want the end, got "[0"`},
	{`[{'ip_address': 'h'}] or exit()`, `offer: byte 22: want the end, got "or"`},
	{`[{'ip_address': 'h'}];import os`, `offer: byte 22: want the end, got "import"`},
	{`[{'ip_address': 'h'}];;`, `offer: byte 22: want the end, got ";"`},
	{`[{'ip_address': 'h'}] * 9`, `offer: byte 22: want the end, got "*"`},
	{`[{'ip_address': 'h' * 9}]`, `offer: byte 20: want "," or "}", got "*"`},
	{`[{'ip_address': 'h'.upper()}]`, `offer: byte 19: want "," or "}", got ".upper("`},
	{`[{'ip_address': 'h' 'i' f'{exit()}'}]`, `offer: byte 24: want "," or "}", got "f"`},
	{`[{'ip_address': f'{exit()}'}]`, `offer: byte 16: want a string, got "f"`},
	{`[{'ip_address': b'h'}]`, `offer: byte 16: want a string, got "b"`},
	{`[{'ip_address': 'h', 'port': 4650 + 1}]`, `offer: byte 34: want "," or "}", got "+"`},
	{`[{'ip_address': 'h', 'port': 1+1}]`, `offer: byte 30: want "," or "}", got "+1"`},
	{`[{'ip_address': 'h', 'x': lambda: 0}]`, `offer: byte 26: want a value, got "lambda:"`},
	{`[{'ip_address': 'h', 'x': Nonesuch}]`, `offer: byte 26: want a value, got "Nonesuch"`},
	{`[{'ip_address': 'h', 'x': True1}]`, `offer: byte 30: want "," or "}", got "1"`},
	{`[{'ip_address': 'h', 'x': True('y')}]`, `offer: byte 30: want "," or "}", got "("`},
	{`[{'ip_address': 'h', 'x': {**y}}]`, `offer: byte 27: want a value, got "**y"`},
	{`[{'ip_address': 'h', 'x': [y for y in z]}]`, `offer: byte 27: want a value, got "y"`},
	{`[*x]`, `offer: byte 1: want a dict, got "*x"`},
	{`[{'ip_address': 'h'} # comment`, `offer: byte 21: want "," or "]", got "#"`},
	// The wrong kind of thing.
	{``, `offer: byte 0: want a list, got end`},
	{`;`, `offer: byte 0: want a list, got ";"`},
	{`{'ip_address': 'h'}`, `offer: byte 0: want a list, got "{"`},
	{`'ip_address'`, `offer: byte 0: want a list, got "'ip_address'"`},
	{`[['ip_address', 'h']]`, `offer: byte 1: want a dict, got "["`},
	{`['h']`, `offer: byte 1: want a dict, got "'h'"`},
	{`[None]`, `offer: byte 1: want a dict, got "None"`},
	{`[{}]`, `offer: byte 2: want the key 'ip_address', got "}"`},
	{`[{'name': 'n'}]`, `offer: byte 13: want the key 'ip_address', got "}"`},
	{`[{'ip_address': 'h'}, {}]`, `offer: byte 23: want the key 'ip_address', got "}"`},
	{`[{'ip_address': ''}]`, `offer: byte 16: want an address or host name, got "''"`},
	{`[{'ip_address': 5}]`, `offer: byte 16: want a string, got "5"`},
	{`[{'ip_address': None}]`, `offer: byte 16: want a string, got "None"`},
	{`[{'ip_address': ['h']}]`, `offer: byte 16: want a string, got "["`},
	{`[{'ip_address': ('h')}]`, `offer: byte 16: want a string, got "("`},
	{`[{1: 2}]`, `offer: byte 6: want the key 'ip_address', got "}"`},
	{`[{'ip_address': 'h', 'port': 0}]`, `offer: byte 29: want a port from 1 to 65535, got "0"`},
	{`[{'ip_address': 'h', 'port': -1}]`, `offer: byte 29: want a port from 1 to 65535, got "-1"`},
	{`[{'ip_address': 'h', 'port': 65536}]`, `offer: byte 29: want a port from 1 to 65535, got "65536"`},
	{`[{'ip_address': 'h', 'port': 18446744073709556266}]`, `offer: byte 29: want a port from 1 to 65535, got "1844674407370955"`},
	{`[{'ip_address': 'h', 'port': 0x1_0000_0000_0000_122a}]`, `offer: byte 29: want a port from 1 to 65535, got "0x1_0000_0000_00"`},
	{`[{'ip_address': 'h', 'port': '4650'}]`, `offer: byte 29: want an integer, got "'4650'"`},
	{`[{'ip_address': 'h', 'port': None}]`, `offer: byte 29: want an integer, got "None"`},
	{`[{'ip_address': 'h', 'port': True}]`, `offer: byte 29: want an integer, got "True"`},
	{`[{'ip_address': 'h', 'port': 4650.0}]`, `offer: byte 29: want a port from 1 to 65535, got "4650.0"`},
	{`[{'ip_address': ub'h'}]`, `offer: byte 16: want a string, got "ub"`},
	{`[{b'ip_address': 'h'}]`, `offer: byte 20: want the key 'ip_address', got "}"`},
	{`[{'ip_address': 'h', 'x': 1e}]`, `offer: byte 28: want a digit, got "}"`},
	{`[{'ip_address': 'h', 'x': 1.5f}]`, `offer: byte 26: want a number, got "1.5f"`},
	{`[{'ip_address': 'h', 'x': 1+2}]`, `offer: byte 29: want an imaginary number, got "}"`},
	{`[{'ip_address': 'h', 'x': .}]`, `offer: byte 26: want a number, got "."`},
	{`[{'ip_address': 'h', 'x': {1: 2, 3}}]`, `offer: byte 34: want ":", got "}"`},
	{`[{'ip_address': 'h', 'x': {1, 2: 3}}]`, `offer: byte 31: want "," or "}", got ":"`},
	{`[{'ip_address': 'h', 'x': b'y}]`, `offer: byte 26: want a string with a closing quote, got "b"`},
	{`[{'ip_address': '''h''}]`, `offer: byte 24: want a closing quote, got end`},
	// Cut short.
	{`[`, `offer: byte 1: want a dict, got end`},
	{`[{`, `offer: byte 2: want a value, got end`},
	{`[{'ip_address`, `offer: byte 13: want a closing quote, got end`},
	{`[{'ip_address'`, `offer: byte 14: want ":", got end`},
	{`[{'ip_address':`, `offer: byte 15: want a string, got end`},
	{`[{'ip_address': 'h\`, `offer: byte 19: want a closing quote, got end`},
	{`[{'ip_address': 'h'`, `offer: byte 19: want "," or "}", got end`},
	{`[{'ip_address': 'h',`, `offer: byte 20: want a value, got end`},
	{`[{'ip_address': 'h'}`, `offer: byte 20: want "," or "]", got end`},
	{`[{'ip_address': 'h'},`, `offer: byte 21: want a dict, got end`},
	{`[{'ip_address': 'h', 'x': -`, `offer: byte 26: want an integer, got "-"`},
	{`[{'ip_address': 'h', 'x': 0x`, `offer: byte 28: want a digit, got end`},
	{`[{'ip_address': 'h', 'x': [`, `offer: byte 27: want a value, got end`},
	// Commas and brackets.
	{`[,]`, `offer: byte 1: want a dict, got ","`},
	{`[{,}]`, `offer: byte 2: want a value, got ","`},
	{`[{'ip_address': 'h'},,]`, `offer: byte 21: want a dict, got ","`},
	{`[{'ip_address': 'h'})`, `offer: byte 20: want "," or "]", got ")"`},
	{`({'ip_address': 'h'}]`, `offer: byte 20: want "," or ")", got "]"`},
	{`[{'ip_address': 'h'} {'ip_address': 'i'}]`, `offer: byte 21: want "," or "]", got "{"`},
	{`[{'ip_address', 'h'}]`, `offer: byte 14: want ":", got ","`},
	// Integers that Python refuses.
	{`[{'ip_address': 'h', 'x': 0123}]`, `offer: byte 26: want an integer without leading zeros, got "0123"`},
	{`[{'ip_address': 'h', 'x': 1__0}]`, `offer: byte 28: want a digit, got "_0"`},
	{`[{'ip_address': 'h', 'x': 1_}]`, `offer: byte 28: want a digit, got "}"`},
	{`[{'ip_address': 'h', 'x': 0x_}]`, `offer: byte 29: want a digit, got "}"`},
	{`[{'ip_address': 'h', 'x': 0b2}]`, `offer: byte 28: want a digit, got "2"`},
	{`[{'ip_address': 'h', 'x': 0b12}]`, `offer: byte 29: want "," or "}", got "2"`},
	{`[{'ip_address': 'h', 'x': 0o8}]`, `offer: byte 28: want a digit, got "8"`},
	{`[{'ip_address': 'h', 'x': 12ab}]`, `offer: byte 28: want "," or "}", got "ab"`},
	{`[{'ip_address': 'h', 'x': --1}]`, `offer: byte 26: want an integer, got "--1"`},
	// Strings that Python refuses.
	{"[{'ip_address': 'h\n'}]", `offer: byte 18: want a closing quote, got "\n"`},
	{"[{'ip_address': 'h\r'}]", `offer: byte 18: want a closing quote, got "\r"`},
	{"[{'ip_address': 'h\x00'}]", `offer: byte 18: want a closing quote, got "\x00"`},
	{"[{'ip_address': 'h\xff'}]", `offer: byte 18: want UTF-8, got "\xff"`},
	{"[{'ip_address': 'h\\\xff'}]", `offer: byte 19: want UTF-8, got "\xff"`},
	{"[{'ip_address': 'h\xed\xa0\x80'}]", `offer: byte 18: want UTF-8, got "\xed\xa0\x80"`},
	{`[{'ip_address': 'h\x4'}]`, `offer: byte 21: want a hexadecimal digit, got "'}]"`},
	{`[{'ip_address': 'h\u12g4'}]`, `offer: byte 22: want a hexadecimal digit, got "g4"`},
	{`[{'ip_address': 'h\U00110000'}]`, `offer: byte 18: want a character up to U+10FFFF, got "\\U00110000"`},
	{`[{'ip_address': 'h\UFFFFFFFF'}]`, `offer: byte 18: want a character up to U+10FFFF, got "\\UFFFFFFFF"`},
	{`[{'ip_address': 'h\N{BULLET}'}]`, `offer: byte 18: want an escape other than \N, got "\\N{BULLET"`},
	// Excerpts never break a character and never reach a terminal raw.
	{"\x1b[31mred", `offer: byte 0: want a list, got "\x1b[31mred"`},
	{"aaaaaaaaaaaaaaa\u20ac", `offer: byte 0: want a list, got "aaaaaaaaaaaaaaa"`},
	{"\u202eevil", `offer: byte 0: want a list, got "\u202eevil"`},
	{"\x00", `offer: byte 0: want a list, got "\x00"`},
}

func TestParseReceivers(t *testing.T) {
	for _, tt := range offers {
		got, err := wire.ParseReceivers([]byte(tt.in))
		if err != nil {
			t.Errorf("ParseReceivers(%q): %v", tt.in, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseReceivers(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestParseReceiversRefuses(t *testing.T) {
	for _, tt := range offerRefusals {
		got, err := wire.ParseReceivers([]byte(tt.in))
		if err == nil {
			t.Errorf("ParseReceivers(%q) = %+v, want error %q", tt.in, got, tt.want)
			continue
		}
		if err.Error() != tt.want {
			t.Errorf("ParseReceivers(%q):\n got %s\nwant %s", tt.in, err, tt.want)
		}
		if got != nil {
			t.Errorf("ParseReceivers(%q) gives receivers beside an error: %+v", tt.in, got)
		}
		checkError(t, "offer", []byte(tt.in), err)
	}
}

// No beginning of an offer is an offer, whatever byte a short read cuts at.
func TestParseReceiversTruncated(t *testing.T) {
	for n := range captured {
		got, err := wire.ParseReceivers([]byte(captured[:n]))
		if err == nil {
			t.Fatalf("ParseReceivers(%q) = %+v", captured[:n], got)
		}
		checkError(t, "offer", []byte(captured[:n]), err)
	}
}

func TestParseReceiversLimits(t *testing.T) {
	in := func(value string) string { return "[{'ip_address':'h','x':" + value + "}]" }
	named := func(value string) string { return "[{'ip_address':'h','name':" + value + "}]" }
	nest := func(n int) string { return in(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	for _, tt := range []struct {
		name, in, want string // want is empty where in is within the limit
	}{
		{"depth", nest(wire.MaxDepth - 2), ""},
		{"depth + 1", nest(wire.MaxDepth - 1), `offer: byte 37: want at most 16 levels of brackets, got "["`},
		{"depth of dicts", in(strings.Repeat("{1:", 20)), `offer: byte 65: want at most 16 levels of brackets, got "{1:{1:{1:{1:{1:{"`},
		{"depth of tuples", strings.Repeat("(", 60000), `offer: byte 1: want a dict, got "(((((((((((((((("`},
		{"deep but side by side", in("[" + strings.Repeat("[[[[]]]],", 1000) + "]"), ""},
		{"items", in("[" + strings.Repeat("1,", wire.MaxItems) + "]"), ""},
		{"items + 1", in("[" + strings.Repeat("1,", wire.MaxItems) + "1]"), `offer: byte 2072: want at most 1024 items, got "1"`},
		{"items of a dict + 1", in("{" + strings.Repeat("1:1,", wire.MaxItems) + "1:1}"), `offer: byte 4120: want at most 1024 items, got "1:1"`},
		{"keys", in("1" + strings.Repeat(",'':1", wire.MaxItems-2)), ""},
		{"keys + 1", in("1" + strings.Repeat(",'':1", wire.MaxItems-1)), `offer: byte 5135: want at most 1024 items, got "''"`},
		{"string", named("'" + strings.Repeat("s", wire.MaxString) + "'"), ""},
		{"string + 1", named("'" + strings.Repeat("s", wire.MaxString+1) + "'"), `offer: byte 26: want a string of at most 4096 bytes, got "'sssssssssssssss"`},
		{"joined string + 1", named("'" + strings.Repeat("s", wire.MaxString) + "' 's'"), `offer: byte 4125: want a string of at most 4096 bytes, got "'s'"`},
		{"string of escapes + 1", named("'" + strings.Repeat(`\n`, wire.MaxString+1) + "'"), `offer: byte 26: want a string of at most 4096 bytes, got "'\\n\\n\\n\\n\\n\\n\\n\\"`},
		{"bytes", "[]" + strings.Repeat(" ", wire.MaxDatagram-2), ""},
		{"bytes + 1", "[]" + strings.Repeat(" ", wire.MaxDatagram-1), `offer: byte 65507: want at most 65507 bytes, got " "`},
	} {
		_, err := wire.ParseReceivers([]byte(tt.in))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got error %q, want %q", tt.name, got, tt.want)
		}
	}
}

// What a receiver's strings look like is what Python 3.11 prints for them.
func TestAppendReceiversQuotes(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"plain", `'plain'`},
		{"it's", `"it's"`},
		{`say "x"`, `'say "x"'`},
		{`it's "x"`, `'it\'s "x"'`},
		{`back\slash`, `'back\\slash'`},
		{`\'`, `"\\'"`},
		{"\n\r\t", `'\n\r\t'`},
		{"\x00\a\b\v\f\x1b\x7f", `'\x00\x07\x08\x0b\x0c\x1b\x7f'`},
		{"S\u00e3o Paulo \u20ac \U0001F600", "'S\u00e3o Paulo \u20ac \U0001F600'"},
		{"\u0080\u00a0\u00ad", `'\x80\xa0\xad'`},
		{"\u200b\u202e\u2028\u3000\ufeff\ue000", `'\u200b\u202e\u2028\u3000\ufeff\ue000'`},
		{"\U000e0001\U0010ffff", `'\U000e0001\U0010ffff'`},
		{"\xff\xfe", "'\ufffd\ufffd'"},
	} {
		got := string(wire.AppendReceivers(nil, []wire.Receiver{{Host: "h", Name: tt.name}}))
		want := "[{'ip_address': 'h', 'name': " + tt.want + "}]"
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", tt.name, got, want)
		}
	}
}

func TestAppendReceivers(t *testing.T) {
	for _, tt := range []struct {
		in   []wire.Receiver
		want string
	}{
		{nil, `x[]`},
		{hosts("192.0.2.1", "2001:db8::1"), `x[{'ip_address': '192.0.2.1'}, {'ip_address': '2001:db8::1'}]`},
		{port(65535), `x[{'ip_address': 'h', 'port': 65535}]`},
		{[]wire.Receiver{{Host: "h", Seg: 1200, Win: 9, Short: true}}, `x[{'ip_address': 'h', 'seg': 1200, 'win': 9, 'short': 1}]`},
		{[]wire.Receiver{{Host: "h", Name: "n", Port: 5000}}, `x[{'ip_address': 'h', 'name': 'n', 'port': 5000}]`},
	} {
		if got := string(wire.AppendReceivers([]byte("x"), tt.in)); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// Any receivers come back as they were, whatever characters they hold.
func TestReceiversRoundTrip(t *testing.T) {
	receiver := rapid.Custom(func(t *rapid.T) wire.Receiver {
		return wire.Receiver{
			Host: rapid.StringN(1, 20, -1).Draw(t, "host"),
			Name: rapid.StringN(0, 20, -1).Draw(t, "name"),
			Port: rapid.Uint16().Draw(t, "port"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(receiver, 0, 10).Draw(t, "receivers")
		text := wire.AppendReceivers(nil, want)
		got, err := wire.ParseReceivers(text)
		if err != nil {
			t.Fatalf("ParseReceivers(%q): %v", text, err)
		}
		if len(want) == 0 {
			want = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", text, diff)
		}
	})
}

func FuzzReceivers(f *testing.F) {
	for _, in := range receiverSeeds() {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		rs, err := wire.ParseReceivers(in)
		if err != nil {
			if rs != nil {
				t.Fatalf("receivers beside an error: %+v", rs)
			}
			checkError(t, "offer", in, err)
			return
		}
		text := wire.AppendReceivers(nil, rs)
		if len(text) > wire.MaxDatagram {
			return // longer than it was, by escapes
		}
		again, err := wire.ParseReceivers(text)
		if err != nil {
			t.Fatalf("second time: %v", err)
		}
		if diff := cmp.Diff(rs, again); diff != "" {
			t.Fatalf("first, second time:\n%s", diff)
		}
	})
}

func receiverSeeds() (seeds []string) {
	for _, tt := range offers {
		seeds = append(seeds, tt.in)
	}
	for _, tt := range offerRefusals {
		seeds = append(seeds, tt.in)
	}
	return seeds
}
