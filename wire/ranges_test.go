package wire_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mdalp/wire"
)

var rangeTexts = []struct {
	in   string
	want []wire.Range
}{
	{"", nil},
	{";", nil},
	{"0", []wire.Range{{0, 0}}},
	{"30-41,45,47-52", []wire.Range{{30, 41}, {45, 45}, {47, 52}}},
	{"30-41,45,47-52;", []wire.Range{{30, 41}, {45, 45}, {47, 52}}},
	{"12-40,51", []wire.Range{{12, 40}, {51, 51}}},
	{"1,2,3-3,4", []wire.Range{{1, 1}, {2, 2}, {3, 3}, {4, 4}}},
	{"007-010", []wire.Range{{7, 10}}},
	{"0-9223372036854775807", []wire.Range{{0, most}}},
	{"9223372036854775806,9223372036854775807", []wire.Range{{most - 1, most - 1}, {most, most}}},
}

var rangeRefusals = []struct{ in, want string }{
	{";;", `ranges: byte 0: want a digit, got ";"`},
	{",", `ranges: byte 0: want a digit, got ","`},
	{"-1", `ranges: byte 0: want a digit, got "-1"`},
	{"1,", `ranges: byte 2: want a digit, got end`},
	{"1,;", `ranges: byte 2: want a digit, got ";"`},
	{"1,,2", `ranges: byte 2: want a digit, got ",2"`},
	{"1-", `ranges: byte 2: want a digit, got end`},
	{"1-;", `ranges: byte 2: want a digit, got ";"`},
	{"1-2-3", `ranges: byte 3: want "," or the end, got "-3"`},
	{"1, 2", `ranges: byte 2: want a digit, got " 2"`},
	{"1 ", `ranges: byte 1: want "," or the end, got " "`},
	{"2-1", `ranges: byte 2: want a last number not below the first, got "1"`},
	{"5,5", `ranges: byte 2: want a number above the range before, got "5"`},
	{"5-9,9-12", `ranges: byte 4: want a number above the range before, got "9-12"`},
	{"5,1", `ranges: byte 2: want a number above the range before, got "1"`},
	{"9223372036854775808", `ranges: byte 0: want a number up to 9223372036854775807, got "9223372036854775"`},
	{"1-99999999999999999999", `ranges: byte 2: want a number up to 9223372036854775807, got "9999999999999999"`},
	{"1;2", `ranges: byte 1: want "," or the end, got ";2"`},
}

func TestParseRanges(t *testing.T) {
	for _, tt := range rangeTexts {
		got, err := wire.ParseRanges([]byte(tt.in))
		if err != nil {
			t.Errorf("ParseRanges(%q): %v", tt.in, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseRanges(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestParseRangesRefuses(t *testing.T) {
	for _, tt := range rangeRefusals {
		got, err := wire.ParseRanges([]byte(tt.in))
		if err == nil {
			t.Errorf("ParseRanges(%q) = %v, want error %q", tt.in, got, tt.want)
		} else if err.Error() != tt.want {
			t.Errorf("ParseRanges(%q):\n got %s\nwant %s", tt.in, err, tt.want)
		}
	}
}

func TestParseRangesLimits(t *testing.T) {
	rs := make([]wire.Range, wire.MaxRanges+1)
	for i := range rs {
		rs[i] = wire.Range{First: int64(i), Last: int64(i)}
	}
	got, err := wire.ParseRanges(wire.AppendRanges(nil, rs[:wire.MaxRanges]))
	if err != nil || len(got) != wire.MaxRanges {
		t.Errorf("%d ranges: got %d, %v", wire.MaxRanges, len(got), err)
	}
	_, err = wire.ParseRanges(wire.AppendRanges(nil, rs))
	if want := `ranges: byte 19370: want at most 4096 ranges, got "4096"`; err == nil || err.Error() != want {
		t.Errorf("%d ranges: got %v, want %s", len(rs), err, want)
	}
	_, err = wire.ParseRanges([]byte(strings.Repeat("0", wire.MaxDatagram) + "1"))
	if want := `ranges: byte 65507: want at most 65507 bytes, got "1"`; err == nil || err.Error() != want {
		t.Errorf("a text too long: got %v, want %s", err, want)
	}
}

func TestAppendRanges(t *testing.T) {
	for _, tt := range []struct {
		in   []wire.Range
		want string
	}{
		{nil, "x"},
		{[]wire.Range{{30, 41}, {45, 45}, {47, 52}}, "x30-41,45,47-52"},
		{[]wire.Range{{0, most}}, "x0-9223372036854775807"},
	} {
		if got := string(wire.AppendRanges([]byte("x"), tt.in)); got != tt.want {
			t.Errorf("AppendRanges(%v) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// Any rising ranges come back as they were.
func TestRangesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []wire.Range
		step := rapid.Int64Range(1, 1<<40)
		next := rapid.Int64Range(0, 1<<40).Draw(t, "first")
		for range rapid.IntRange(0, 50).Draw(t, "ranges") {
			last := next + rapid.Int64Range(0, 1<<40).Draw(t, "length")
			want = append(want, wire.Range{First: next, Last: last})
			next = last + step.Draw(t, "gap")
		}
		text := wire.AppendRanges(nil, want)
		got, err := wire.ParseRanges(text)
		if err != nil {
			t.Fatalf("ParseRanges(%q): %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func FuzzRanges(f *testing.F) {
	for _, in := range rangeSeeds() {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		rs, err := wire.ParseRanges(in)
		if err != nil {
			checkError(t, "ranges", in, err)
			return
		}
		last := int64(-1)
		for _, r := range rs {
			if r.First <= last || r.Last < r.First {
				t.Fatalf("%v do not rise", rs)
			}
			last = r.Last
		}
		again, err := wire.ParseRanges(wire.AppendRanges(nil, rs))
		if err != nil {
			t.Fatalf("second time: %v", err)
		}
		if diff := cmp.Diff(rs, again); diff != "" {
			t.Fatalf("first, second time:\n%s", diff)
		}
	})
}

func rangeSeeds() (seeds []string) {
	for _, tt := range rangeTexts {
		seeds = append(seeds, tt.in)
	}
	for _, tt := range rangeRefusals {
		seeds = append(seeds, tt.in)
	}
	return seeds
}
