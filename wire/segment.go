package wire

// The messages of the extended protocol that carry segments, and their
// acknowledgements.

// MaxHeader is the longest header of an extended segment, in bytes: every number in it
// with [MaxDigits] digits.
const MaxHeader = len("Type:2;TID:;SEQ:;NUM:;DATA:") + 3*MaxDigits

// MaxAckRanges is the most ranges of an acknowledgement.
const MaxAckRanges = 32

// AppendSegmentHeader appends all of an extended segment that stands before the
// payload. SEQ and NUM have leading zeros up to the widths given, so that segments in a
// row have headers of one length: only then do they leave, and come, as one train.
func AppendSegmentHeader(b []byte, tid, seq, num int64, seqWidth, numWidth int) []byte {
	b = append(b, "Type:2;TID:"...)
	b = appendNumber(b, tid)
	b = append(b, ";SEQ:"...)
	return appendSegmentRest(b, seq, num, seqWidth, numWidth)
}

// appendSegmentRest appends what stands between [AppendDataPrefix] and the payload of an
// extended segment, as [AppendSegmentHeader] writes it.
func appendSegmentRest(b []byte, seq, num int64, seqWidth, numWidth int) []byte {
	b = appendPadded(b, seq, seqWidth)
	b = append(b, ";NUM:"...)
	b = appendPadded(b, num, numWidth)
	return append(b, ";DATA:"...)
}

// A SegmentHeader writes what stands before the payload of one transaction's extended
// segments, always in one length.
type SegmentHeader struct {
	prefix     []byte
	seqs, nums int // digits
	short      bool
}

// NewSegmentHeader makes the headers of a payload of so many segments, in the short form
// for receivers that take it, see [Receiver].Short. They have room for ten times as many
// transmissions; beyond these they get longer.
//
//	Type:2;TID:7;SEQ:041;NUM:0057;DATA:
//	2;H;p;A5;
func NewSegmentHeader(tid, segments int64, short bool) SegmentHeader {
	last, most := segments-1, min(segments, MaxNumber/10)*10
	if short {
		h := SegmentHeader{seqs: count64(last), nums: count64(most), short: true}
		h.prefix = append(appendPadded64([]byte("2;"), tid, 1), ';')
		return h
	}
	return SegmentHeader{AppendDataPrefix(nil, tid), Digits(last), Digits(most), false}
}

// Append appends the header of transmission num, of segment seq.
func (h *SegmentHeader) Append(b []byte, seq, num int64) []byte {
	b = append(b, h.prefix...)
	if !h.short {
		return appendSegmentRest(b, seq, num, h.seqs, h.nums)
	}
	b = append(appendPadded64(b, seq, h.seqs), ';')
	return append(appendPadded64(b, num, h.nums), ';')
}

// Len is how many bytes a header has.
func (h *SegmentHeader) Len() int { return len(h.Append(nil, 0, 0)) }

// AppendAckRanges appends an extended acknowledgement: seq counts those of the receiver,
// ranges are of the NUMs that it has received, the largest first; there are at least one
// and at most [MaxAckRanges].
//
//	Type:3;TID:7;SEQ:12;NUM:57;DATA:55-57,30-52;
func AppendAckRanges(b []byte, tid, seq int64, ranges []Range) []byte {
	b = append(b, "Type:3;"...)
	b = appendField(b, "TID:", tid)
	b = appendField(b, "SEQ:", seq)
	b = appendField(b, "NUM:", ranges[0].Last)
	b = append(b, "DATA:"...)
	b = AppendRanges(b, ranges)
	return append(b, ';')
}

// ParseAckRanges reads the ranges of m, an extended acknowledgement, into dst, whose
// memory it uses: with room for [MaxAckRanges] it does not allocate unless it fails.
// They must fall without touching, and begin with one that ends at NUM. The error is a
// [*SyntaxError].
func ParseAckRanges(m *Message, dst []Range) ([]Range, error) {
	b := m.Data
	dst = dst[:0]
	end := len(b)
	if end > 0 && b[end-1] == ';' {
		end--
	}
	for i, below := 0, int64(MaxNumber); ; i++ {
		if len(dst) == MaxAckRanges {
			return nil, rangesError(b, i, "at most 32 ranges")
		}
		at := i
		first, next := number(b[:end], i)
		if next == 0 {
			return nil, rangesNumberError(b, at)
		}
		i = next
		long := i-at > MaxDigits
		last := first
		if i < end && b[i] == '-' {
			at = i + 1
			if last, i = number(b[:end], at); i == 0 {
				return nil, rangesNumberError(b, at)
			}
			long = long || i-at > MaxDigits
		}
		switch {
		case long:
			return nil, rangesError(b, at, "a number of at most 19 digits")
		case last < first:
			return nil, rangesError(b, at, "a last number not below the first")
		case len(dst) == 0 && last != m.Num:
			return nil, rangesError(b, at, "NUM at the end of the first range")
		case len(dst) > 0 && last >= below:
			return nil, rangesError(b, at, "a range below the one before, with a gap")
		}
		below = first - 1
		dst = append(dst, Range{first, last})
		if i == end {
			return dst, nil
		}
		if b[i] != ',' {
			return nil, rangesError(b, i, `"," or the end`)
		}
	}
}
