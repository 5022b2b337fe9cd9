package wire

// The short form of an extended segment. The names of its fields and the digits of its
// numbers are what a header is made of; without the one, and with numbers to the base 64, it
// has less than half of the bytes. On a wire of 1,500 bytes a packet this is what decides
// whether a transfer is as fast as one of TCP.

// maxDigits64 is the most digits of a number in a short segment.
const maxDigits64 = 11

// digits64 are the digits to the base 64 (RFC 4648, section 5).
const digits64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// values64 has for each byte its value as a digit, or 64.
var values64 = func() (v [256]uint8) {
	for i := range v {
		v[i] = uint8(len(digits64))
	}
	for i := range len(digits64) {
		v[digits64[i]] = uint8(i)
	}
	return v
}()

// number64 reads the digits to the base 64 at b[i:] and returns their value and the index
// behind them, which is 0 where [number] has it so, and for more than maxDigits64 digits.
func number64(b []byte, i int) (n int64, next int) {
	start := i
	for ; i < len(b); i++ {
		d := values64[b[i]]
		if d == uint8(len(digits64)) {
			break
		}
		if n > MaxNumber>>6 {
			return 0, 0
		}
		n = n<<6 | int64(d)
	}
	if i == start || i-start > maxDigits64 {
		return 0, 0
	}
	return n, i
}

// appendPadded64 appends n, which is not negative, to the base 64 with leading zeros up to
// width digits, of which there are at most maxDigits64. A longer n is written whole.
func appendPadded64(b []byte, n int64, width int) []byte {
	var d [maxDigits64]byte
	i := len(d) - 1
	u := uint64(n)
	for ; u >= 64; i-- {
		d[i] = digits64[u&63]
		u >>= 6
	}
	d[i] = digits64[u]
	for ; len(d)-i < width; i-- {
		d[i-1] = digits64[0]
	}
	return append(b, d[i:]...)
}

// count64 is how many digits to the base 64 n has, which is not negative.
func count64(n int64) int {
	k := 1
	for ; n >= 64; n >>= 6 {
		k++
	}
	return k
}

// isShort reports whether b begins as a short segment does.
func isShort(b []byte) bool { return len(b) >= 2 && b[0] == '2' && b[1] == ';' }

// ParseSegment takes a short segment apart into m, as [Parse] does, and reports whether b is
// one. Where it is none, or malformed, m is not to be used. It is for who takes many: in place,
// and without a look at anything else, this takes less time.
func ParseSegment(b []byte, m *Message) bool {
	if !isShort(b) {
		return false
	}
	_, want := m.short(b)
	return want == ""
}

// parseShort takes a short segment apart: three numbers, each with a ";" behind it, and the
// payload.
func parseShort(b []byte) (m Message, err error) {
	if at, want := m.short(b); want != "" {
		return fail(b, at, want)
	}
	return m, nil
}

// short is parseShort in place. Where b is malformed it tells where, and what was wanted.
func (m *Message) short(b []byte) (at int, want string) {
	var n [3]int64
	i := 2
	for k := range n {
		at := i
		if n[k], i = number64(b, at); i == 0 {
			return at, "a number to the base 64, up to 2^63-1 in 11 digits"
		}
		if i == len(b) || b[i] != ';' {
			return i, `";"`
		}
		i++
	}
	m.Type, m.TID, m.Seq, m.Num, m.Data = Data, n[0], n[1], n[2], b[i:len(b):len(b)]
	return 0, ""
}
