package wire_test

import (
	"testing"

	"mdalp/wire"
)

// cookieTexts are the DATA of intents and of what answers them, with the cookie in it.
var cookieTexts = []struct{ in, want string }{
	{"{'cookie': '0000000000000000'};", wire.NoCookie},
	{"{'cookie': '6f1d2a90c3b4e587'}", "6f1d2a90c3b4e587"},
	{" { \"cookie\" : '6f1d' '2a90c3b4e587' , 'later': [1.5, {b'x'}] } ; ", "6f1d2a90c3b4e587"},
	{"{'cookie': '1111111111111111', 'cookie': '6f1d2a90c3b4e587'}", "6f1d2a90c3b4e587"},
	{"{'noise': 'MTIzNA=='}", ""},
	{"{'cookie': '6f1d2a90c3b4e58'}", ""},
	{"{'cookie': '6f1d2a90c3b4e5870'}", ""},
	{"{'cookie': '6F1D2A90C3B4E587'}", ""},
	{"{'cookie': b'6f1d2a90c3b4e587'}", ""},
	{"{'cookie': 1111111111111111}", ""},
	{"{'cookie': ''}", ""},
	{"{'cookie': '6f1d2a90c3b4e587'", ""},
	{"{'cookie': '6f1d2a90c3b4e587'} x", ""},
	{"{}", ""},
	{"", ""},
	{"['cookie']", ""},
}

func TestParseCookie(t *testing.T) {
	for _, tt := range cookieTexts {
		if got, ok := wire.ParseCookie([]byte(tt.in)); ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%q: %q, %t", tt.in, got, ok)
		}
	}
}

// A question and its answer are of one length, and are read as they were written.
func TestAppendCookie(t *testing.T) {
	const cookie = "6f1d2a90c3b4e587"
	for _, tt := range []struct {
		b    []byte
		want string
		typ  wire.Type
	}{
		{wire.AppendCookieIntent(nil, wire.NoCookie), "Type:0;DATA:{'cookie': '0000000000000000'};", wire.Intent},
		{wire.AppendCookieIntent(nil, cookie), "Type:0;DATA:{'cookie': '6f1d2a90c3b4e587'};", wire.Intent},
		{wire.AppendCookie(nil, cookie), "Type:1;DATA:{'cookie': '6f1d2a90c3b4e587'};", wire.Offer},
	} {
		m, err := wire.Parse(tt.b)
		if _, ok := wire.ParseCookie(m.Data); string(tt.b) != tt.want || err != nil || m.Type != tt.typ || m.TID != wire.Absent || !ok {
			t.Errorf("%q, want %q: %+v, %v", tt.b, tt.want, m, err)
		}
	}
}

// FuzzCookie: a cookie that is read is 16 digits, and is the same when it is written again.
func FuzzCookie(f *testing.F) {
	for _, tt := range cookieTexts {
		f.Add([]byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := wire.ParseCookie(b)
		if !ok {
			return
		}
		m, err := wire.Parse(wire.AppendCookie(nil, c))
		if again, ok := wire.ParseCookie(m.Data); len(c) != wire.CookieDigits || err != nil || !ok || again != c {
			t.Fatalf("%q is %q, and again %q, %t, %v", b, c, again, ok, err)
		}
	})
}
