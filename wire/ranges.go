package wire

import "bytes"

// MaxRanges is the most ranges that [ParseRanges] takes.
const MaxRanges = 4096

// A Range is a run of sequence numbers, both ends included. First is not
// negative and not above Last.
type Range struct {
	First, Last int64
}

// AppendRanges appends rs in the form "30-41,45,47-52" to b. It writes what it
// is given: for [ParseRanges] to take it, rs must rise and not overlap.
func AppendRanges(b []byte, rs []Range) []byte {
	for i, r := range rs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, r.First)
		if r.Last != r.First {
			b = append(b, '-')
			b = appendNumber(b, r.Last)
		}
	}
	return b
}

// ParseRanges reads ranges as [AppendRanges] writes them, with an optional ";"
// at the end. They must rise and not overlap; neighbours such as "1-2,3" may
// stand apart. Nothing at all is no range. More than [MaxRanges] ranges or
// [MaxDatagram] bytes are an error. The error is a [*SyntaxError].
func ParseRanges(b []byte) ([]Range, error) {
	if len(b) > MaxDatagram {
		return nil, rangesError(b, MaxDatagram, "at most 65507 bytes")
	}
	end := len(b)
	if end > 0 && b[end-1] == ';' {
		end--
	}
	if end == 0 {
		return nil, nil
	}
	// One allocation. The count is bounded before memory is taken, because the
	// text may be nothing but commas.
	rs := make([]Range, 0, 1+min(bytes.Count(b[:end], []byte{','}), MaxRanges-1))
	for i, last := 0, int64(-1); ; {
		if len(rs) == MaxRanges {
			return nil, rangesError(b, i, "at most 4096 ranges")
		}
		at := i
		first, i2 := number(b[:end], i)
		if i2 == 0 {
			return nil, rangesNumberError(b, at)
		}
		if first <= last {
			return nil, rangesError(b, at, "a number above the range before")
		}
		i, last = i2, first
		if i < end && b[i] == '-' {
			at = i + 1
			if last, i = number(b[:end], at); i == 0 {
				return nil, rangesNumberError(b, at)
			}
			if last < first {
				return nil, rangesError(b, at, "a last number not below the first")
			}
		}
		rs = append(rs, Range{first, last})
		if i == end {
			return rs, nil
		}
		if b[i] != ',' {
			return nil, rangesError(b, i, `"," or the end`)
		}
		i++
	}
}

func rangesError(b []byte, at int, want string) error {
	return syntaxError("ranges", b, at, want)
}

func rangesNumberError(b []byte, at int) error {
	if at == len(b) || !isDigit(b[at]) {
		return rangesError(b, at, "a digit")
	}
	return rangesError(b, at, wantNumber)
}
