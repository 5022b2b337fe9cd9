// Package stranger_test has another client and another server of the extended protocol,
// written from PROTOCOL.md alone: they share no line with the project's. They write what
// the page allows in other forms than ours do, and hold what comes against the page.
package stranger_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
)

// A message as the page's grammar has it; a number that is not there is -1.
type message struct {
	typ, tid, seq, num int64
	data               string
	hasData            bool
	short              bool
}

var grammar = regexp.MustCompile(`^(?s)Type:([0-9]+)(?:;(?:TID:([0-9]+)(?:;|$))?(?:SEQ:([0-9]+)(?:;|$))?(?:NUM:([0-9]+)(?:;|$))?(DATA:.*)?)?$`)

// shortForm is that of a segment, with numbers in these digits.
var shortForm = regexp.MustCompile(`^(?s)2;([\w-]{1,11});([\w-]{1,11});([\w-]{1,11});(.*)$`)

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// written writes a number in these digits, at least so many.
func written(n int64, width int) (s string) {
	for ; n > 0 || len(s) < width; n /= 64 {
		s = digits[n%64:n%64+1] + s
	}
	return s
}

func parse(b []byte) (m message, err error) {
	if f := shortForm.FindStringSubmatch(string(b)); f != nil {
		m = message{typ: 2, data: f[4], hasData: true, short: true}
		for i, p := range []*int64{&m.tid, &m.seq, &m.num} {
			for _, c := range f[i+1] {
				*p = *p*64 + int64(strings.IndexRune(digits, c))
			}
		}
		return m, nil
	}
	f := grammar.FindStringSubmatch(string(b))
	if f == nil {
		return m, fmt.Errorf("not of the grammar: %.80q", b)
	}
	for i, p := range []*int64{&m.typ, &m.tid, &m.seq, &m.num} {
		if *p = -1; f[i+1] == "" {
			continue
		}
		if *p, err = strconv.ParseInt(f[i+1], 10, 64); err != nil {
			return m, fmt.Errorf("%.80q: %w", b, err)
		}
	}
	m.data, m.hasData = strings.CutPrefix(f[5], "DATA:")
	return m, nil
}

var pair = regexp.MustCompile(`'([a-z0-9_]+)': *('[^']*'|"[^"]*"|-?[0-9]+)`)

// dicts reads every {…} of a text, whose values are strings and whole numbers.
func dicts(text string) (ds []map[string]string) {
	for _, part := range strings.Split(text, "{")[1:] {
		d := map[string]string{}
		for _, kv := range pair.FindAllStringSubmatch(part, -1) {
			d[kv[1]] = strings.Trim(kv[2], `'"`)
		}
		ds = append(ds, d)
	}
	return ds
}

// natural is a whole number of a dict; -1 when it is not there.
func natural(d map[string]string, key string) int64 {
	n, err := strconv.ParseInt(d[key], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// A span is a range of numbers, both ends included.
type span struct{ first, last int64 }

// spans reads ranges that rise, or that fall with gaps between them.
func spans(text string, falling bool) (rs []span, err error) {
	text = strings.TrimSuffix(text, ";")
	if text == "" {
		return nil, nil
	}
	for _, part := range strings.Split(text, ",") {
		a, b, two := strings.Cut(part, "-")
		if !two {
			b = a
		}
		first, err1 := strconv.ParseInt(a, 10, 64)
		last, err2 := strconv.ParseInt(b, 10, 64)
		if err1 != nil || err2 != nil || first > last {
			return nil, fmt.Errorf("ranges %q", text)
		}
		if k := len(rs) - 1; k >= 0 && (falling && last >= rs[k].first-1 || !falling && first <= rs[k].last) {
			return nil, fmt.Errorf("ranges %q: order", text)
		}
		rs = append(rs, span{first, last})
	}
	return rs, nil
}

// told writes a set of numbers as ranges.
func told(has func(int64) bool, from, to int64, falling bool) string {
	var parts []string
	for k := from; k < to; k++ {
		if !has(k) {
			continue
		}
		first := k
		for k+1 < to && has(k+1) {
			k++
		}
		if first == k {
			parts = append(parts, fmt.Sprint(k))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", first, k))
		}
	}
	if falling {
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
	}
	return strings.Join(parts, ",")
}

// payloadOf is size bytes in which every value stands, the protocol's own words too.
func payloadOf(size int) []byte {
	rng := rand.New(rand.NewPCG(1, uint64(size)))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	copy(b, ";DATA:Type:2;NUM:1;")
	return b
}
