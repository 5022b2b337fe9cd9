package wire_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mdalp/wire"
)

const (
	// captured is the DATA of an offer taken from a real capture.
	captured = "[{'ip_address': '177.71.168.45', 'name': '5th Receiver'}, " +
		"{'ip_address': '54.200.52.112', 'name': '4th Receiver'}, " +
		"{'ip_address': '18.134.193.153', 'name': '2nd Receiver'}]"
	// hundred is a full segment of the base protocol.
	hundred = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. Aliquam viverra quis risus sed luctus. Aliq"

	absent = wire.Absent
	most   = wire.MaxNumber
)

// parses are datagrams that Parse takes, with what is in them.
var parses = []struct {
	in   string
	want wire.Message
}{
	// As captured.
	{"Type:0;", wire.Message{Type: wire.Intent, TID: absent, Seq: absent, Num: absent}},
	{"Type:1;TID:3740;DATA:" + captured, wire.Message{Type: wire.Offer, TID: 3740, Seq: absent, Num: absent, Data: []byte(captured)}},
	{"Type:2;TID:3740;SEQ:0;DATA:" + hundred, wire.Message{Type: wire.Data, TID: 3740, Seq: 0, Num: absent, Data: []byte(hundred)}},
	{"Type:3;TID:3740;SEQ:30;", wire.Message{Type: wire.Ack, TID: 3740, Seq: 30, Num: absent}},
	// Without the last ";".
	{"Type:0", wire.Message{Type: wire.Intent, TID: absent, Seq: absent, Num: absent}},
	{"Type:1;TID:7", wire.Message{Type: wire.Offer, TID: 7, Seq: absent, Num: absent}},
	{"Type:3;TID:3740;SEQ:30", wire.Message{Type: wire.Ack, TID: 3740, Seq: 30, Num: absent}},
	// Any field but the type may be missing.
	{"Type:3;TID:7;", wire.Message{Type: wire.Ack, TID: 7, Seq: absent, Num: absent}},
	{"Type:3;SEQ:7;", wire.Message{Type: wire.Ack, TID: absent, Seq: 7, Num: absent}},
	{"Type:3;SEQ:7;DATA:1-2", wire.Message{Type: wire.Ack, TID: absent, Seq: 7, Num: absent, Data: []byte("1-2")}},
	{"Type:2;DATA:x", wire.Message{Type: wire.Data, TID: absent, Seq: absent, Num: absent, Data: []byte("x")}},
	// DATA is raw.
	{"Type:2;TID:1;SEQ:2;DATA:", wire.Message{Type: wire.Data, TID: 1, Seq: 2, Num: absent, Data: []byte{}}},
	{"Type:2;TID:1;SEQ:2;DATA:;", wire.Message{Type: wire.Data, TID: 1, Seq: 2, Num: absent, Data: []byte(";")}},
	{"Type:2;TID:1;SEQ:2;DATA:a;SEQ:9;DATA:b;", wire.Message{Type: wire.Data, TID: 1, Seq: 2, Num: absent, Data: []byte("a;SEQ:9;DATA:b;")}},
	{"Type:2;TID:1;SEQ:2;DATA:\x00\r\n\xff\xfe", wire.Message{Type: wire.Data, TID: 1, Seq: 2, Num: absent, Data: []byte("\x00\r\n\xff\xfe")}},
	{"Type:1;TID:7;DATA:[];", wire.Message{Type: wire.Offer, TID: 7, Seq: absent, Num: absent, Data: []byte("[];")}},
	// Numbers.
	{"Type:3;TID:0;SEQ:0;", wire.Message{Type: wire.Ack, Num: absent}},
	{"Type:003;TID:0003740;SEQ:" + strings.Repeat("0", 40) + "30;", wire.Message{Type: wire.Ack, TID: 3740, Seq: 30, Num: absent}},
	{"Type:3;TID:9223372036854775807;SEQ:9223372036854775807;", wire.Message{Type: wire.Ack, TID: most, Seq: most, Num: absent}},
	{"Type:4;TID:1;SEQ:51;DATA:{};", wire.Message{Type: 4, TID: 1, Seq: 51, Num: absent, Data: []byte("{};")}},
	// NUM, between SEQ and DATA.
	{"Type:2;TID:7;SEQ:0041;NUM:0057;DATA:x", wire.Message{Type: wire.Data, TID: 7, Seq: 41, Num: 57, Data: []byte("x")}},
	{"Type:3;TID:7;SEQ:12;NUM:57;DATA:55-57,30-52;", wire.Message{Type: wire.Ack, TID: 7, Seq: 12, Num: 57, Data: []byte("55-57,30-52;")}},
	{"2;H;Ap;A5;x", wire.Message{Type: wire.Data, TID: 7, Seq: 41, Num: 57, Data: []byte("x")}},
	{"2;AAAAAAAAAAH;-;_;", wire.Message{Type: wire.Data, TID: 7, Seq: 62, Num: 63, Data: []byte{}}},
	{"2;H__________;H__________;H__________;;", wire.Message{Type: wire.Data, TID: most, Seq: most, Num: most, Data: []byte(";")}},
	{"Type:3;NUM:0", wire.Message{Type: wire.Ack, TID: absent, Seq: absent}},
	{"Type:2;TID:9223372036854775807;SEQ:9223372036854775807;NUM:9223372036854775807;DATA:",
		wire.Message{Type: wire.Data, TID: most, Seq: most, Num: most, Data: []byte{}}},
	{"Type:255;", wire.Message{Type: 255, TID: absent, Seq: absent, Num: absent}},
}

// refusals are datagrams that Parse refuses, with the text that a user reads.
var refusals = []struct{ in, want string }{
	{"2;", `message: byte 2: want a number to the base 64, up to 2^63-1 in 11 digits, got end`},
	{"2;;", `message: byte 2: want a number to the base 64, up to 2^63-1 in 11 digits, got ";"`},
	{"2;H", `message: byte 3: want ";", got end`},
	{"2;H;B;C", `message: byte 7: want ";", got end`},
	{"2;H;B=;C;x", `message: byte 5: want ";", got "="`},
	{"2;IAAAAAAAAAA;A;A;", `message: byte 2: want a number to the base 64, up to 2^63-1 in 11 digits, got "IAAAAAAAAAA"`},
	{"2;A;AAAAAAAAAAAA;A;", `message: byte 4: want a number to the base 64, up to 2^63-1 in 11 digits, got "AAAAAAAAAAAA"`},
	{"02;A;A;A;", `message: byte 0: want "Type:", got "02"`},
	{"2:A;A;A;", `message: byte 0: want "Type:", got "2:A"`},
	{"", `message: byte 0: want "Type:", got end`},
	{"Type", `message: byte 0: want "Type:", got "Type"`},
	{"type:3;", `message: byte 0: want "Type:", got "type:3"`},
	{" Type:3;", `message: byte 0: want "Type:", got " Type:3"`},
	{"\xff\xfe\xfd\x00\x01", `message: byte 0: want "Type:", got "\xff\xfe\xfd\x00\x01"`},
	{"GET / HTTP/1.1\r\n", `message: byte 0: want "Type:", got "GET"`},
	{"Type:", `message: byte 5: want a digit, got end`},
	{"Type:;", `message: byte 5: want a digit, got ";"`},
	{"Type:-1;", `message: byte 5: want a digit, got "-1"`},
	{"Type:+3;", `message: byte 5: want a digit, got "+3"`},
	{"Type: 3;", `message: byte 5: want a digit, got " 3"`},
	{"Type:256;", `message: byte 5: want a type up to 255, got "256"`},
	{"Type:9223372036854775808;", `message: byte 5: want a type up to 255, got "9223372036854775"`},
	{"Type:3 ;", `message: byte 6: want ";", got " "`},
	{"Type:3TID:1;", `message: byte 6: want ";", got "TID:1"`},
	{"Type:3;;", `message: byte 7: want "TID:", "SEQ:", "NUM:", "DATA:" or the end, got ";"`},
	{"Type:3;\n", `message: byte 7: want "TID:", "SEQ:", "NUM:", "DATA:" or the end, got "\n"`},
	{"Type:3;TID", `message: byte 7: want "TID:", "SEQ:", "NUM:", "DATA:" or the end, got "TID"`},
	{"Type:3;DATA", `message: byte 7: want "TID:", "SEQ:", "NUM:", "DATA:" or the end, got "DATA"`},
	{"Type:3;TID:", `message: byte 11: want a digit, got end`},
	{"Type:3;TID:-1;SEQ:2;", `message: byte 11: want a digit, got "-1"`},
	{"Type:3;TID:9223372036854775808;", `message: byte 11: want a number up to 9223372036854775807, got "9223372036854775"`},
	{"Type:3;TID:18446744073709551617;", `message: byte 11: want a number up to 9223372036854775807, got "1844674407370955"`},
	{"Type:3;TID:1x;", `message: byte 12: want ";", got "x"`},
	{"Type:3;TID:1;TID:1;", `message: byte 13: want "SEQ:", "NUM:", "DATA:" or the end, got "TID:1"`},
	{"Type:3;TID:1;SEQ:", `message: byte 17: want a digit, got end`},
	{"Type:3;TID:1;SEQ:9999999999999999999;", `message: byte 17: want a number up to 9223372036854775807, got "9999999999999999"`},
	{"Type:3;TID:1;SEQ:2,", `message: byte 18: want ";", got ","`},
	{"Type:3;TID:1;SEQ:2;x", `message: byte 19: want "NUM:", "DATA:" or the end, got "x"`},
	{"Type:3;SEQ:2;TID:1;", `message: byte 13: want "NUM:", "DATA:" or the end, got "TID:1"`},
	{"Type:3;TID:1;SEQ:2;NUM:", `message: byte 23: want a digit, got end`},
	{"Type:3;TID:1;SEQ:2;NUM:9223372036854775808;", `message: byte 23: want a number up to 9223372036854775807, got "9223372036854775"`},
	{"Type:3;TID:1;SEQ:2;NUM:1,", `message: byte 24: want ";", got ","`},
	{"Type:3;TID:1;SEQ:2;NUM:1;NUM:2;", `message: byte 25: want "DATA:" or the end, got "NUM:2"`},
	{"Type:3;NUM:1;SEQ:2;", `message: byte 13: want "DATA:" or the end, got "SEQ:2"`},
	// In extended messages a number has at most 19 digits.
	{"Type:2;TID:00000000000000000007;SEQ:1;NUM:1;DATA:", `message: byte 0: want numbers of at most 19 digits, got "Type:2"`},
	{"Type:2;TID:7;SEQ:00000000000000000001;NUM:1;DATA:", `message: byte 0: want numbers of at most 19 digits, got "Type:2"`},
	{"Type:2;TID:7;SEQ:1;NUM:00000000000000000001;DATA:", `message: byte 0: want numbers of at most 19 digits, got "Type:2"`},
	{"Type:4;TID:7;SEQ:00000000000000000001;DATA:{}", `message: byte 0: want numbers of at most 19 digits, got "Type:4"`},
	{"Type:3;TID:1;SEQ:2\x00", `message: byte 18: want ";", got "\x00"`},
}

func TestParse(t *testing.T) {
	for _, tt := range parses {
		got, err := wire.Parse([]byte(tt.in))
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.in, err)
			continue
		}
		// cmp tells a nil Data from an empty one.
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range refusals {
		m, err := wire.Parse([]byte(tt.in))
		if err == nil {
			t.Errorf("Parse(%q) = %+v, want error %q", tt.in, m, tt.want)
			continue
		}
		if err.Error() != tt.want {
			t.Errorf("Parse(%q):\n got %s\nwant %s", tt.in, err, tt.want)
		}
		if diff := cmp.Diff(wire.Message{TID: absent, Seq: absent, Num: absent}, m); diff != "" {
			t.Errorf("Parse(%q) leaves something behind (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestParseAliases(t *testing.T) {
	in := []byte("Type:2;TID:1;SEQ:2;DATA:abc")
	buf := append(in, "next datagram"...)
	m, err := wire.Parse(buf[:len(in)])
	if err != nil {
		t.Fatal(err)
	}
	if &m.Data[0] != &buf[len(in)-3] {
		t.Error("Data is a copy, want the input's own bytes")
	}
	_ = append(m.Data, '!')
	if got := string(buf[len(in):]); got != "next datagram" {
		t.Errorf("an append to Data wrote %q behind the datagram", got)
	}
}

func TestAppend(t *testing.T) {
	three, err := wire.ParseReceivers([]byte(captured))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		got  []byte
		want string
	}{
		{wire.AppendIntent(nil), "Type:0;"},
		{wire.AppendOffer(nil, 3740, three), "Type:1;TID:3740;DATA:" + captured + ";"},
		{wire.AppendOffer(nil, 3740, three[:1]), "Type:1;TID:3740;DATA:[{'ip_address': '177.71.168.45', 'name': '5th Receiver'}];"},
		{wire.AppendOffer(nil, 0, nil), "Type:1;TID:0;DATA:[];"},
		{wire.AppendData(nil, 3740, 0, []byte(hundred)), "Type:2;TID:3740;SEQ:0;DATA:" + hundred},
		{wire.AppendData(nil, 3740, 50, []byte(";\x00\xff;")), "Type:2;TID:3740;SEQ:50;DATA:;\x00\xff;"},
		{wire.AppendData(nil, 1, 2, nil), "Type:2;TID:1;SEQ:2;DATA:"},
		{wire.AppendDataHeader(nil, 3740, 9), "Type:2;TID:3740;SEQ:9;DATA:"},
		{wire.AppendDataHeader([]byte("x"), most, most), "xType:2;TID:9223372036854775807;SEQ:9223372036854775807;DATA:"},
		{wire.AppendAck(nil, 3740, 30), "Type:3;TID:3740;SEQ:30;"},
		{wire.AppendAck([]byte("x"), 0, 10), "xType:3;TID:0;SEQ:10;"},
		{wire.AppendAck(nil, absent, 10), "Type:3;SEQ:10;"},
		{wire.AppendAck(nil, 10, absent), "Type:3;TID:10;"},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("got  %q\nwant %q", tt.got, tt.want)
		}
	}
}

func TestAppendNumbers(t *testing.T) {
	// Around every power of ten, where the count of digits changes.
	for p := int64(1); ; p *= 10 {
		for n := p - 1; n <= p+1; n++ {
			want := "Type:3;SEQ:" + strconv.FormatInt(n, 10) + ";"
			if got := wire.AppendAck(nil, absent, n); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if p > most/10 {
			break
		}
	}
}

func TestTypeString(t *testing.T) {
	for typ, want := range []string{"intent", "offer", "data", "ack", "manifest", "state", "type 6"} {
		if got := wire.Type(typ).String(); got != want {
			t.Errorf("Type(%d) is %q, want %q", typ, got, want)
		}
	}
	if got := wire.Type(255).String(); got != "type 255" {
		t.Errorf("Type(255) is %q", got)
	}
}

func TestNoAllocations(t *testing.T) {
	buf := make([]byte, 0, 256)
	data := []byte(hundred)
	check := func(name string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
	for _, tt := range parses {
		in := []byte(tt.in)
		check(tt.in, func() {
			m, err := wire.Parse(in)
			if err != nil {
				t.Fatal(err)
			}
			sinkMessage = m
		})
	}
	check("AppendIntent", func() { sinkBytes = wire.AppendIntent(buf) })
	check("AppendData", func() { sinkBytes = wire.AppendData(buf, 3740, 30, data) })
	check("AppendData, big numbers", func() { sinkBytes = wire.AppendData(buf, most, most, data) })
	check("AppendDataHeader", func() { sinkBytes = wire.AppendDataHeader(buf, 3740, 30) })
	check("AppendAck", func() { sinkBytes = wire.AppendAck(buf, 3740, 30) })
	check("AppendRanges", func() { sinkBytes = wire.AppendRanges(buf, []wire.Range{{30, 41}, {45, 45}}) })
	rs := []wire.Receiver{{Host: "192.0.2.1", Name: "O'Neil\n\u00e9\u2028", Port: 5000}}
	check("AppendOffer", func() { sinkBytes = wire.AppendOffer(buf, 3740, rs) })
}

// grammar is the message of the package comment as a regular expression, as a
// second opinion: slow, and without the bounds of the numbers.
var grammar = regexp.MustCompile(`(?s)^Type:([0-9]+)(?:$|;)(?:TID:([0-9]+)(?:$|;))?(?:SEQ:([0-9]+)(?:$|;))?(?:NUM:([0-9]+)(?:$|;))?(?:DATA:(.*))?$`)

// short is that of a short segment.
var short = regexp.MustCompile(`(?s)^2;([\w-]{1,11});([\w-]{1,11});([\w-]{1,11});(.*)$`)

// byGrammar reads in by the expressions.
func byGrammar(in []byte) (m wire.Message, ok bool) {
	if at := short.FindSubmatch(in); at != nil {
		m = wire.Message{Type: wire.Data, Data: append([]byte{}, at[4]...)}
		for i, n := range []*int64{&m.TID, &m.Seq, &m.Num} {
			text := append(bytes.Repeat([]byte("A"), 12-len(at[i+1])), at[i+1]...)
			b, err := base64.RawURLEncoding.DecodeString(string(text)) // 72 bits, of which the first are 0
			if err != nil || b[0] > 0 || b[1] > 127 {
				return m, false
			}
			*n = int64(binary.BigEndian.Uint64(b[1:]))
		}
		return m, true
	}
	at := grammar.FindSubmatchIndex(in)
	if at == nil {
		return m, false
	}
	num := func(i int, limit int64) int64 {
		if at[i] < 0 {
			return absent
		}
		n, _ := new(big.Int).SetString(string(in[at[i]:at[i+1]]), 10)
		if n.Cmp(big.NewInt(limit)) > 0 {
			ok = false
			return absent
		}
		return n.Int64()
	}
	ok = true
	typ := num(2, 255)
	m = wire.Message{Type: wire.Type(typ), TID: num(4, most), Seq: num(6, most), Num: num(8, most)}
	if m.Num != absent || m.Type >= wire.ManifestType {
		for i := 4; i <= 8; i += 2 {
			ok = ok && at[i+1]-at[i] <= wire.MaxDigits
		}
	}
	if at[10] >= 0 {
		m.Data = append([]byte{}, in[at[10]:at[11]]...)
	}
	return m, ok
}

func FuzzParse(f *testing.F) {
	for _, in := range parseSeeds() {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		orig := bytes.Clone(in)
		m, err := wire.Parse(in)
		want, ok := byGrammar(in)
		if ok != (err == nil) {
			t.Fatalf("the grammar takes it: %v, Parse: %v", ok, err)
		}
		var seg wire.Message
		isSegment := wire.ParseSegment(in, &seg)
		if isSegment != (ok && in[0] == '2') || isSegment && cmp.Diff(want, seg) != "" {
			t.Fatalf("ParseSegment: %v, %+v; by the grammar %+v", isSegment, seg, want)
		}
		if err != nil {
			checkError(t, "message", in, err)
			return
		}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Fatalf("by the grammar, by Parse:\n%s", diff)
		}
		if !bytes.Equal(in, orig) {
			t.Fatal("Parse changed its input")
		}
		// The messages that have all fields come back as they were.
		if m.Data != nil && m.TID >= 0 && m.Seq >= 0 && m.Num >= 0 {
			again := m
			again.Type = wire.Data
			b := wire.AppendSegmentHeader(nil, m.TID, m.Seq, m.Num, 7, 8)
			checkAgain(t, append(b, m.Data...), again)
		}
		m.Num = absent
		if m.Data != nil {
			m.Type = wire.Data
			checkAgain(t, wire.AppendData(nil, m.TID, m.Seq, m.Data), m)
		}
		m.Type, m.Data = wire.Ack, nil
		checkAgain(t, wire.AppendAck(nil, m.TID, m.Seq), m)
	})
}

func checkAgain(t *testing.T, b []byte, want wire.Message) {
	t.Helper()
	got, err := wire.Parse(b)
	if err != nil {
		t.Fatalf("Parse(%q): %v", b, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("Parse(%q) (-want +got):\n%s", b, diff)
	}
}

// checkError fails unless err is a SyntaxError that an end user can read and
// that points into in.
func checkError(t *testing.T, what string, in []byte, err error) {
	t.Helper()
	var e *wire.SyntaxError
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *SyntaxError", err)
	}
	if e.In != what || e.Want == "" || e.Offset < 0 || e.Offset > len(in) {
		t.Fatalf("%+v for %d bytes", e, len(in))
	}
	if (e.Offset == len(in)) != (e.Got == "end") {
		t.Fatalf("got %s at byte %d of %d", e.Got, e.Offset, len(in))
	}
	if e.Got != "end" {
		got, err := strconv.Unquote(e.Got)
		if err != nil || got == "" || len(got) > 16 || !bytes.HasPrefix(in[e.Offset:], []byte(got)) {
			t.Fatalf("excerpt %s (%v) is not what stands at byte %d", e.Got, err, e.Offset)
		}
	}
	for _, c := range err.Error() {
		if !strconv.IsPrint(c) {
			t.Fatalf("%q is not one line of printable characters", err.Error())
		}
	}
}

// The seeds of a fuzz target are its table rows, so that a row added to a
// table is a seed too.

func parseSeeds() (seeds []string) {
	for _, tt := range parses {
		seeds = append(seeds, tt.in)
	}
	for _, tt := range refusals {
		seeds = append(seeds, tt.in)
	}
	return seeds
}

var update = flag.Bool("update", false, "write the seeds of the fuzz targets to testdata")

// TestCorpus checks that the committed corpora hold all seeds. With -update it
// writes them. Findings of the fuzzer, beside them under other names, stay.
func TestCorpus(t *testing.T) {
	for _, c := range []struct {
		target string
		seeds  []string
	}{
		{"FuzzParse", parseSeeds()},
		{"FuzzReceivers", receiverSeeds()},
		{"FuzzRanges", rangeSeeds()},
		{"FuzzManifest", manifestSeeds()},
		{"FuzzState", stateSeeds()},
		{"FuzzAckRanges", ackSeeds()},
	} {
		dir := filepath.Join("testdata", "fuzz", c.target)
		if *update {
			if err := os.MkdirAll(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		for i, seed := range c.seeds {
			want := "go test fuzz v1\n[]byte(" + strconv.Quote(seed) + ")\n"
			name := filepath.Join(dir, "seed"+strconv.Itoa(1000 + i)[1:])
			if *update {
				if err := os.WriteFile(name, []byte(want), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(name)
			if err != nil {
				t.Errorf("%v; run go test -update", err)
			} else if string(got) != want {
				t.Errorf("%s does not hold %q; run go test -update", name, seed)
			}
		}
	}
}
