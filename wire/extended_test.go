package wire_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"mdalp/wire"
)

const digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// plain is a manifest without anything optional.
func plain(bytes, seg int64) wire.Manifest {
	return wire.Manifest{Bytes: bytes, Seg: seg, Resume: wire.Absent}
}

// manifests are the DATA of manifests, with what is in them.
var manifests = []struct {
	in      string
	want    wire.Manifest
	refusal string
}{
	{"{'bytes': 5000000, 'seg': 1200};", plain(5000000, 1200), ""},
	{"{'bytes':1,'seg':1}", plain(1, 1), ""},
	{"{'bytes': 100, 'seg': 100, 'later': [1.5, {b'x'}], 7: None}", plain(100, 100), ""},
	{"{'bytes': 1, 'bytes': 2, 'seg': 9, 'seg': 100}", plain(2, 100), ""},
	{"{'bytes': 9223372036854775807, 'seg': 65000, 'from': 7, 'resume': 9, 'name': 'a b', 'sha256': '" + digest + "'}",
		wire.Manifest{Bytes: most, Seg: 65000, From: 7, Resume: 9, Name: "a b", SHA256: digest}, ""},
	{"{'bytes': 0, 'seg': 100}", plain(0, 100), "'bytes' is less than 1"},
	{"{'bytes': 1000, 'seg': 99}", plain(1000, 99), "'seg' is not 100 to 65000"},
	{"{'bytes': 1000, 'seg': 0}", plain(1000, 0), "'seg' is not 100 to 65000"},
	{"{'bytes': 1000, 'seg': 65001}", plain(1000, 65001), "'seg' is not 100 to 65000"},
	{"{'bytes': 1000, 'seg': 100, 'name': 'a/b'}", plain(1000, 100), "'name' is no name"},
	{"{'bytes': 1000, 'seg': 100, 'name': 'a\\x1b[31m'}", plain(1000, 100), "'name' is no name"},
	{"{'bytes': 1000, 'seg': 100, 'name': 5}", plain(1000, 100), "'name' is no name"},
	{"{'bytes': 1000, 'seg': 100, 'name': '" + strings.Repeat("n", 256) + "'}", plain(1000, 100), "'name' is no name"},
	{"{'bytes': 1000, 'seg': 100, 'resume': -1}", plain(1000, 100), "'resume' is no whole number"},
	{"{'bytes': 1000, 'seg': 100, 'resume': 9223372036854775808}", plain(1000, 100), "'resume' is no whole number"},
	{"{'bytes': 1000, 'seg': 100, 'from': '0'}", plain(1000, 100), "'from' is no whole number"},
	{"{'bytes': 1000, 'seg': 100, 'from': 99999999999999999999}", plain(1000, 100), "'from' is no whole number"},
	{"{'bytes': 1000, 'seg': 100, 'sha256': '" + digest[1:] + "'}", plain(1000, 100), "'sha256' is not 64 hexadecimal digits"},
	{"{'bytes': 1000, 'seg': 100, 'sha256': '" + strings.ToUpper(digest) + "'}", plain(1000, 100), "'sha256' is not 64 hexadecimal digits"},
}

var manifestRefusals = []struct{ in, want string }{
	{"", `manifest: byte 0: want a dict, got end`},
	{"[]", `manifest: byte 0: want a dict, got "["`},
	{"{1, 2}", `manifest: byte 2: want ":", got ","`},
	{"{}", `manifest: byte 0: want a dict with whole numbers 'bytes' and 'seg', got "{"`},
	{"{'bytes': 5}", `manifest: byte 0: want a dict with whole numbers 'bytes' and 'seg', got "{"`},
	{"{'bytes': 5.0, 'seg': 100}", `manifest: byte 10: want a whole number, got "5.0"`},
	{"{'bytes': '5', 'seg': 100}", `manifest: byte 10: want a whole number, got "'5'"`},
	{"{'bytes': -5, 'seg': 100}", `manifest: byte 10: want a whole number, got "-5"`},
	{"{'bytes': 9223372036854775808, 'seg': 100}", `manifest: byte 10: want a number up to 9223372036854775807, got "9223372036854775"`},
	{"{'bytes': 5, 'seg': 100} x", `manifest: byte 25: want the end, got "x"`},
}

func TestParseManifest(t *testing.T) {
	for _, tt := range manifests {
		got, refusal, err := wire.ParseManifest([]byte(tt.in))
		if diff := cmp.Diff(tt.want, got); diff != "" || refusal != tt.refusal || err != nil {
			t.Errorf("ParseManifest(%q): %q, %v, want %q (-want +got):\n%s", tt.in, refusal, err, tt.refusal, diff)
		}
	}
	for _, tt := range manifestRefusals {
		if _, _, err := wire.ParseManifest([]byte(tt.in)); err == nil || err.Error() != tt.want {
			t.Errorf("ParseManifest(%q):\n got %v\nwant %s", tt.in, err, tt.want)
		}
	}
}

func TestAppendManifest(t *testing.T) {
	m := wire.Manifest{Bytes: 5000000, Seg: 1200, Resume: wire.Absent}
	if got, want := string(wire.AppendManifest(nil, 7, 0, &m)), "Type:4;TID:7;SEQ:0;DATA:{'bytes': 5000000, 'seg': 1200};"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	m = wire.Manifest{Bytes: 1, Seg: 100, Name: "it's", Resume: 3, From: 9, SHA256: digest}
	want := `Type:4;TID:7;SEQ:12;DATA:{'bytes': 1, 'seg': 100, 'name': "it's", 'resume': 3, 'from': 9, 'sha256': '` + digest + `'};`
	if got := string(wire.AppendManifest(nil, 7, 12, &m)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// The longest there can be fits, also where every character of the name is escaped.
	m = wire.Manifest{Bytes: most, Seg: 65000, Name: strings.Repeat("\u0085", 127), Resume: most, From: most, SHA256: digest}
	if n := len(wire.AppendManifest(nil, most, most, &m)); n > wire.MaxManifest {
		t.Errorf("a manifest of %d bytes, more than %d", n, wire.MaxManifest)
	}
}

// states are the DATA of states, with what is in them.
var states = []struct {
	in   string
	want func(*wire.State)
}{
	{"{'state': 'open', 'have': '0-40,45'};", func(s *wire.State) {
		s.Standing, s.Told, s.Have = wire.Open, true, []wire.Range{{First: 0, Last: 40}, {First: 45, Last: 45}}
	}},
	{"{'state': 'open', 'have': '', 'upto': 7}", func(s *wire.State) { s.Standing, s.Told, s.Upto = wire.Open, true, 7 }},
	{"{'state': 'open', 'win': 64}", func(s *wire.State) { s.Standing, s.Window = wire.Open, 64 }},
	{"{'state': 'open', 'win': 0}", func(s *wire.State) { s.Standing = wire.Open }},
	{"{'state': 'open', 'win': 9223372036854775808}", func(s *wire.State) { s.Standing = wire.Open }},
	{"{'state': 'open'}", func(s *wire.State) { s.Standing = wire.Open }},
	{"{'state': 'busy', 'wait': 500}", func(s *wire.State) { s.Standing, s.Wait = wire.Busy, 500 }},
	{"{'state': 'busy', 'wait': 0}", func(s *wire.State) { s.Standing, s.Wait = wire.Busy, wire.MinWait }},
	{"{'state': 'busy', 'wait': 86400000}", func(s *wire.State) { s.Standing, s.Wait = wire.Busy, wire.MaxWait }},
	{"{'state': 'complete', 'more': 1.5}", func(s *wire.State) { s.Standing = wire.Complete }},
	{"{'state': 'incomplete', 'have': '1'}", func(s *wire.State) {
		s.Standing, s.Told, s.Have = wire.Incomplete, true, []wire.Range{{First: 1, Last: 1}}
	}},
	{"{u'state': u'damaged'}", func(s *wire.State) { s.Standing = wire.Damaged }},
	{"{'state': 'refused'};", func(s *wire.State) { s.Standing = wire.Refused }},
	{"{'state': 'refused', 'comment': 'no room', 'bytes': 5, 'seg': 100, 'resume': 9}", func(s *wire.State) {
		s.Standing, s.Comment, s.Bytes, s.Seg, s.Resume = wire.Refused, "no room", 5, 100, 9
	}},
	{"{'state': 'thinking'}", func(s *wire.State) {}},
}

var stateRefusals = []struct{ in, want string }{
	{"{}", `state: byte 0: want a dict with the string 'state', got "{"`},
	{"{'state': 5}", `state: byte 0: want a dict with the string 'state', got "{"`},
	{"{'state': 'busy'}", `state: byte 0: want a dict with the number 'wait', got "{"`},
	{"{'state': 'open', 'have': [1]}", `state: byte 26: want a string of ranges, got "[1"`},
	{"{'state': 'open', 'have': '5-3'}", `state: byte 26: want rising ranges, got "'5-3'"`},
	{"{'state': 'open', 'upto': -1}", `state: byte 26: want a whole number, got "-1"`},
	{"{'state': 'open', 'upto': 9223372036854775808}", `state: byte 26: want a number up to 9223372036854775807, got "9223372036854775"`},
}

func TestParseState(t *testing.T) {
	for _, tt := range states {
		want := wire.NewState(wire.Unknown)
		want.Wait = wire.Absent
		tt.want(&want)
		got, err := wire.ParseState([]byte(tt.in))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("ParseState(%q): %v (-want +got):\n%s", tt.in, err, diff)
		}
	}
	for _, tt := range stateRefusals {
		if _, err := wire.ParseState([]byte(tt.in)); err == nil || err.Error() != tt.want {
			t.Errorf("ParseState(%q):\n got %v\nwant %s", tt.in, err, tt.want)
		}
	}
}

func TestAppendState(t *testing.T) {
	s := wire.NewState(wire.Open)
	s.Told, s.Have = true, []wire.Range{{First: 0, Last: 40}, {First: 45, Last: 45}}
	if got, want := string(wire.AppendState(nil, 7, 0, &s)), "Type:5;TID:7;SEQ:0;DATA:{'state': 'open', 'have': '0-40,45'};"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.Window = 64
	if got, want := string(wire.AppendState(nil, 7, 0, &s)), "Type:5;TID:7;SEQ:0;DATA:{'state': 'open', 'win': 64, 'have': '0-40,45'};"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s = wire.NewState(wire.Refused)
	refusal := wire.AppendState(nil, 7, 0, &s)
	if want := "Type:5;TID:7;SEQ:0;DATA:{'state': 'refused'};"; string(refusal) != want {
		t.Errorf("got  %s\nwant %s", refusal, want)
	}
	s = wire.NewState(wire.Busy)
	s.Wait = 1
	if got, want := string(wire.AppendState(nil, 7, 3, &s)), "Type:5;TID:7;SEQ:3;DATA:{'state': 'busy', 'wait': 10};"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// More ranges than fit are cut off, and upto is the first that is not told.
func TestAppendStateFits(t *testing.T) {
	s := wire.NewState(wire.Open)
	s.Told = true
	for k := int64(0); k < 1000; k++ {
		s.Have = append(s.Have, wire.Range{First: most/2 + 3*k, Last: most/2 + 3*k + 1})
	}
	b := wire.AppendState(nil, most, most, &s)
	if len(b) > wire.MaxManifest {
		t.Errorf("a state of %d bytes", len(b))
	}
	m, err := wire.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.ParseState(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	n := len(got.Have)
	if n == 0 || n == 1000 || got.Upto != s.Have[n].First {
		t.Errorf("%d ranges, upto %d", n, got.Upto)
	}
	if diff := cmp.Diff(s.Have[:n], got.Have); diff != "" {
		t.Error(diff)
	}
}

// acks are the NUM and DATA of acknowledgements.
var acks = []struct {
	num  int64
	in   string
	want []wire.Range
}{
	{57, "55-57,30-52;", []wire.Range{{First: 55, Last: 57}, {First: 30, Last: 52}}},
	{0, "0", []wire.Range{{First: 0, Last: 0}}},
	{7, "0-7;", []wire.Range{{First: 0, Last: 7}}},
	{most, "9223372036854775807,1", []wire.Range{{First: most, Last: most}, {First: 1, Last: 1}}},
	{7, "007-0000000000000000007", []wire.Range{{First: 7, Last: 7}}},
}

var ackRefusals = []struct {
	num      int64
	in, want string
}{
	{1, "", `ranges: byte 0: want a digit, got end`},
	{1, ";", `ranges: byte 0: want a digit, got ";"`},
	{1, "0", `ranges: byte 0: want NUM at the end of the first range, got "0"`},
	{1, "1-2", `ranges: byte 2: want NUM at the end of the first range, got "2"`},
	{5, "7-5", `ranges: byte 2: want a last number not below the first, got "5"`},
	{9, "8-9,7", `ranges: byte 4: want a range below the one before, with a gap, got "7"`},
	{9, "8-9,9", `ranges: byte 4: want a range below the one before, with a gap, got "9"`},
	{9, "9,1-8", `ranges: byte 4: want a range below the one before, with a gap, got "8"`},
	{9, "9,", `ranges: byte 2: want a digit, got end`},
	{9, "9 ", `ranges: byte 1: want "," or the end, got " "`},
	{9, "9223372036854775808", `ranges: byte 0: want a number up to 9223372036854775807, got "9223372036854775"`},
	{7, "00000000000000000007", `ranges: byte 0: want a number of at most 19 digits, got "0000000000000000"`},
}

func TestAckRanges(t *testing.T) {
	for _, tt := range acks {
		got, err := wire.ParseAckRanges(&wire.Message{Num: tt.num, Data: []byte(tt.in)}, nil)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", tt.in, err, diff)
		}
	}
	for _, tt := range ackRefusals {
		if _, err := wire.ParseAckRanges(&wire.Message{Num: tt.num, Data: []byte(tt.in)}, nil); err == nil || err.Error() != tt.want {
			t.Errorf("%q:\n got %v\nwant %s", tt.in, err, tt.want)
		}
	}
	got := string(wire.AppendAckRanges(nil, 7, 12, acks[0].want))
	if want := "Type:3;TID:7;SEQ:12;NUM:57;DATA:55-57,30-52;"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The most ranges are taken, one more is not, and none of it allocates.
func TestAckRangesBound(t *testing.T) {
	var rs []wire.Range
	for k := range int64(wire.MaxAckRanges + 1) {
		rs = append(rs, wire.Range{First: 1000 - 2*k, Last: 1000 - 2*k})
	}
	parse := func(rs []wire.Range, dst []wire.Range) ([]wire.Range, error) {
		m, err := wire.Parse(wire.AppendAckRanges(nil, 7, 1, rs))
		if err != nil {
			t.Fatal(err)
		}
		return wire.ParseAckRanges(&m, dst)
	}
	dst := make([]wire.Range, 0, wire.MaxAckRanges)
	if got, err := parse(rs[:wire.MaxAckRanges], dst); err != nil || len(got) != wire.MaxAckRanges {
		t.Errorf("%d ranges, %v", len(got), err)
	}
	if got, err := parse(rs, dst); err == nil {
		t.Errorf("%d ranges are taken", len(got))
	}
	b := wire.AppendAckRanges(nil, 7, 1, rs[:wire.MaxAckRanges])
	if n := testing.AllocsPerRun(100, func() {
		m, _ := wire.Parse(b)
		if _, err := wire.ParseAckRanges(&m, dst); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSegmentHeader(t *testing.T) {
	if got, want := string(wire.AppendSegmentHeader(nil, 7, 41, 57, 4, 6)), "Type:2;TID:7;SEQ:0041;NUM:000057;DATA:"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// A number that has outgrown its width is written whole.
	if got, want := string(wire.AppendSegmentHeader(nil, 7, 12345, 0, 4, 1)), "Type:2;TID:7;SEQ:12345;NUM:0;DATA:"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := len(wire.AppendSegmentHeader(nil, most, most, most, 19, 19)); n != wire.MaxHeader || wire.MaxHeader != 84 {
		t.Errorf("the longest header has %d bytes, MaxHeader is %d", n, wire.MaxHeader)
	}
	for n, want := range map[int64]int{0: 1, 9: 1, 10: 2, 99: 2, 100: 3, most: 19} {
		if got := wire.Digits(n); got != want {
			t.Errorf("Digits(%d) is %d", n, got)
		}
	}
}

func TestNewSegmentHeader(t *testing.T) {
	for _, tt := range []struct {
		tid, segments int64
		short         bool
		want          string // of SEQ 41 and NUM 57
	}{
		{7, 1, false, "Type:2;TID:7;SEQ:41;NUM:57;DATA:"},
		{7, 1000, false, "Type:2;TID:7;SEQ:041;NUM:00057;DATA:"},
		{most, most, false, "Type:2;TID:9223372036854775807;SEQ:0000000000000000041;NUM:0000000000000000057;DATA:"},
		{7, 1, true, "2;H;p;5;"},
		{7, 64, true, "2;H;p;A5;"},
		{7, 65, true, "2;H;Ap;A5;"},
		{7, 100_000, true, "2;H;AAp;AAA5;"},
		{most, most, true, "2;H__________;AAAAAAAAAAp;AAAAAAAAAA5;"},
	} {
		h := wire.NewSegmentHeader(tt.tid, tt.segments, tt.short)
		if got := string(h.Append([]byte("x"), 41, 57)); got != "x"+tt.want {
			t.Errorf("%+v: got %s", tt, got[1:])
		}
		// All have one length, up to ten times as many transmissions as there are segments.
		last := h.Append(nil, tt.segments-1, min(tt.segments, most/10)*10-1)
		if len(last) != h.Len() || len(last) > wire.MaxHeader {
			t.Errorf("%+v: %d bytes and then %d", tt, h.Len(), len(last))
		}
	}
	h := wire.NewSegmentHeader(7, 64, true)
	if got, want := string(h.Append(nil, 64, 4096)), "2;H;BA;BAA;"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	buf := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() { sinkBytes = h.Append(buf, 1, 2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is written in either form is read as it was.
func TestSegmentHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Int64Range(0, most)
		want := wire.Message{Type: wire.Data, TID: number.Draw(t, "tid"), Seq: number.Draw(t, "seq"), Num: number.Draw(t, "num"),
			Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")}
		h := wire.NewSegmentHeader(want.TID, rapid.Int64Range(1, most).Draw(t, "segments"), rapid.Bool().Draw(t, "short"))
		in := append(h.Append(nil, want.Seq, want.Num), want.Data...)
		got, err := wire.Parse(in)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%q: %v\n%s", in, err, diff)
		}
	})
}

func FuzzManifest(f *testing.F) {
	for _, in := range manifestSeeds() {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, refusal, err := wire.ParseManifest(in)
		if err != nil {
			checkError(t, "manifest", in, err)
			return
		}
		if refusal != "" {
			return
		}
		b := wire.AppendManifest(nil, 7, 1, &m)
		msg, err := wire.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		again, refusal, err := wire.ParseManifest(msg.Data)
		if diff := cmp.Diff(m, again); diff != "" || refusal != "" || err != nil {
			t.Fatalf("second time %q, %v:\n%s", refusal, err, diff)
		}
	})
}

func FuzzState(f *testing.F) {
	for _, in := range stateSeeds() {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := wire.ParseState(in)
		if err != nil {
			checkError(t, "state", in, err)
			return
		}
		if s.Standing == wire.Unknown || len(s.Comment) > 100 {
			return
		}
		b := wire.AppendState(nil, 7, 1, &s)
		if len(b) > wire.MaxManifest && len(s.Comment) == 0 {
			t.Fatalf("%d bytes", len(b))
		}
		msg, err := wire.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := wire.ParseState(msg.Data); err != nil || again.Standing != s.Standing || len(again.Have) > len(s.Have) {
			t.Fatalf("second time %+v, %v, first %+v", again, err, s)
		}
	})
}

func FuzzAckRanges(f *testing.F) {
	for _, in := range ackSeeds() {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := wire.Parse(in)
		if err != nil {
			return
		}
		rs, err := wire.ParseAckRanges(&m, nil)
		if err != nil {
			checkError(t, "ranges", m.Data, err)
			return
		}
		if len(rs) == 0 || len(rs) > wire.MaxAckRanges || rs[0].Last != m.Num {
			t.Fatalf("%v of NUM %d", rs, m.Num)
		}
		for i, r := range rs {
			if r.First < 0 || r.Last < r.First || i > 0 && r.Last >= rs[i-1].First-1 {
				t.Fatalf("range %d of %v", i, rs)
			}
		}
		again, err := wire.Parse(wire.AppendAckRanges(nil, m.TID, m.Seq, rs))
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.ParseAckRanges(&again, nil)
		if diff := cmp.Diff(rs, got); diff != "" || err != nil {
			t.Fatalf("second time %v:\n%s", err, diff)
		}
	})
}

func manifestSeeds() (seeds []string) {
	for _, tt := range manifests {
		seeds = append(seeds, tt.in)
	}
	for _, tt := range manifestRefusals {
		seeds = append(seeds, tt.in)
	}
	return seeds
}

func stateSeeds() (seeds []string) {
	for _, tt := range states {
		seeds = append(seeds, tt.in)
	}
	for _, tt := range stateRefusals {
		seeds = append(seeds, tt.in)
	}
	return seeds
}

func ackSeeds() (seeds []string) {
	for _, tt := range acks {
		m := wire.AppendAckRanges(nil, 7, 1, []wire.Range{{First: tt.num, Last: tt.num}})
		seeds = append(seeds, string(m[:strings.Index(string(m), "DATA:")+5])+tt.in)
	}
	for _, tt := range ackRefusals {
		seeds = append(seeds, "Type:3;TID:7;SEQ:1;NUM:9;DATA:"+tt.in)
	}
	return seeds
}
