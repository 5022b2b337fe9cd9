package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestHandshakeText(t *testing.T) {
	h := Handshake{"66687aad", []byte("1234")}
	for _, c := range []struct{ got, want string }{
		{string(AppendSealedIntent(nil, &h)), "Type:0;DATA:{'key': '66687aad', 'noise': 'MTIzNA=='};"},
		{string(AppendSealedOffer(nil, 7, h.Noise)), "Type:1;TID:7;DATA:{'noise': 'MTIzNA=='};"},
		{string(AppendSealedOffer(nil, Absent, h.Noise)), "Type:1;DATA:{'noise': 'MTIzNA=='};"},
		{string(AppendWait(nil, 1000)), "{'wait': 1000}"},
		{string(AppendWait(nil, 1)), "{'wait': 10}"},
		{string(AppendWait(nil, 1<<40)), "{'wait': 10000}"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestParseHandshake(t *testing.T) {
	for _, c := range []struct {
		in         string
		key, noise string
		bad        bool
	}{
		{in: "{'key': '66687aad', 'noise': 'MTIzNA=='};", key: "66687aad", noise: "1234"},
		{in: `{"noise":"MTIz" 'NA=='}`, noise: "1234"},
		{in: "{'noise': 'MTIzNA==', 'later': [1, {}], 'key': '00000000'}", key: "00000000", noise: "1234"},
		{in: "{'noise': 'MTIz', 'noise': 'MTIzNA=='}", noise: "1234"},
		{in: "", bad: true},
		{in: "[]", bad: true},
		{in: "{}", bad: true},
		{in: "{'noise': ''}", bad: true},
		{in: "{'noise': 4}", bad: true},
		{in: "{'noise': 'MTIzNA'}", bad: true},
		{in: "{'noise': 'MTIzNA-_'}", bad: true},
		{in: "{'key': '66687aad'}", bad: true},
		{in: "{'key': '66687AAD', 'noise': 'MTIz'}", bad: true},
		{in: "{'key': '66687aa', 'noise': 'MTIz'}", bad: true},
		{in: "{'key': 66687, 'noise': 'MTIz'}", bad: true},
		{in: "{'noise': 'MTIz'}x", bad: true},
		{in: "{'noise': '" + strings.Repeat("A", MaxString+4) + "'}", bad: true},
	} {
		h, err := ParseHandshake([]byte(c.in))
		if se := (*SyntaxError)(nil); c.bad && !errors.As(err, &se) || !c.bad && err != nil {
			t.Errorf("%.80q: %v", c.in, err)
		}
		if h.Key != c.key || string(h.Noise) != c.noise {
			t.Errorf("%.80q: %q, %q", c.in, h.Key, h.Noise)
		}
	}
}

func TestParseWait(t *testing.T) {
	for _, c := range []struct {
		in  string
		ms  int64
		bad bool
	}{
		{"{'wait': 1000}", 1000, false}, {"{'wait': 1000};", 1000, false}, {"{'wait': 0, 'x': ()}", 10, false},
		{"{'wait': 99999}", 10_000, false}, {"{}", 0, true}, {"{'wait': -1}", 0, true}, {"{'wait': '1'}", 0, true},
		{"{'wait': 9223372036854775808}", 0, true}, {"1000", 0, true},
	} {
		if ms, err := ParseWait([]byte(c.in)); ms != c.ms || (err != nil) != c.bad {
			t.Errorf("%q: %d, %v", c.in, ms, err)
		}
	}
}

func FuzzParseHandshake(f *testing.F) {
	for _, s := range []string{"{'key': '66687aad', 'noise': 'MTIzNA=='};", "{'noise': 'MTIz', 'x': {1: (2,)}}", "{'wait': 1000}", "{'wait': +1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseHandshake(b); err == nil && h.Key != "" {
			again, err := Parse(AppendSealedIntent(nil, &h))
			if err != nil {
				t.Fatal(err)
			}
			if g, err := ParseHandshake(again.Data); err != nil || g.Key != h.Key || string(g.Noise) != string(h.Noise) {
				t.Errorf("written and read again it is %+v, %v", g, err)
			}
		}
		if ms, err := ParseWait(b); err == nil {
			if again, err := ParseWait(AppendWait(nil, ms)); err != nil || again != ms {
				t.Errorf("written and read again it is %d, %v", again, err)
			}
		}
	})
}
