package wire

import "testing"

func TestDataPrefix(t *testing.T) {
	for _, seq := range []int64{0, 9, 10, 3740, MaxNumber} {
		b := append(AppendDataRest(AppendDataPrefix(nil, 3740), seq), "abc"...)
		if want := AppendData(nil, 3740, seq, []byte("abc")); string(b) != string(want) {
			t.Errorf("got %q, want %q", b, want)
		}
	}
}

func TestLooksLikeOffer(t *testing.T) {
	for b, want := range map[string]bool{
		"Type:1": true, "Type:1;TID:7;DATA:[": true, "Type:17": true, "Type:1\x00": true,
		"": false, "Type:": false, "Type:0;": false, "type:1": false, " Type:1": false,
	} {
		if LooksLikeOffer([]byte(b)) != want {
			t.Errorf("%q: %t", b, !want)
		}
	}
}

func TestQuotes(t *testing.T) {
	for _, c := range []struct {
		quote         string
		agrees, whole bool
	}{
		{"", true, false},
		{"T", true, false},
		{"Type:2;TID:7;SEQ:12", true, false},
		{"Type:2;TID:7;SEQ:12;", true, true},
		{"Type:2;TID:7;SEQ:12;DATA:whatever", true, true},
		{"Type:2;TID:7;SEQ:12;\xff\x00", true, true},
		{"Type:2;TID:7;SEQ:13;", false, false},
		{"Type:2;TID:7;SEQ:1;", false, false},
		{"Type:2;TID:7;SEQ:120;", false, false},
		{"Type:2;TID:7;SEQ:012;", false, false},
		{"Type:2;TID:70", false, false},
		{"Type:3;TID:7;SEQ:12;", false, false},
		{"garbage", false, false},
	} {
		if agrees, whole := Quotes([]byte(c.quote), 7, 12); agrees != c.agrees || whole != c.whole {
			t.Errorf("%q: agrees %t, whole %t", c.quote, agrees, whole)
		}
	}
}

func TestHead(t *testing.T) {
	for b, want := range map[string]string{
		"Type:2;TID:7;SEQ:1;NUM:2;DATA:x": "Type:2;TID:7;",
		"Type:3;TID:3740;SEQ:1;":          "Type:3;TID:3740;",
		"Type:2;TID:;":                    "Type:2;TID:;",
		"2;H;A;A;x":                       "2;H;",
		"2;;A;A;x":                        "",
		"2;H":                             "",
		"Type:2;TID:7":                    "",
		"Type:2;SEQ:1;DATA:TID:7;":        "",
		"Type:0;TID:7;SEQ:1;":             "",
		"Type:1;TID:7;DATA:[];":           "",
		"Type:25;TID:7;":                  "",
		"type:2;TID:7;":                   "",
		"Type:2;TID":                      "",
		"":                                "",
	} {
		if got := string(Head([]byte(b))); got != want {
			t.Errorf("%q begins with %q, want %q", b, got, want)
		}
	}
	for b, want := range map[string]bool{"Type:": true, "Type:x": true, "Type": false, "type:2": false, "": false} {
		if got := LooksLikeOurs([]byte(b)); got != want {
			t.Errorf("%q looks like ours: %v", b, got)
		}
	}
}
