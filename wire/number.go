package wire

// MaxNumber is the largest number of a field or a range, 2^63-1. A larger one
// is an error: a number that wrapped could name another transaction.
const MaxNumber = 1<<63 - 1

// MaxDigits is the most digits of a number in the extended protocol, leading zeros
// included: as many as MaxNumber has.
const MaxDigits = 19

const wantNumber = "a number up to 9223372036854775807"

func isDigit(c byte) bool { return c-'0' <= 9 }

// number reads the digits at b[i:] and returns their value and the index behind
// them. That index is 0 when there is no digit or the value exceeds MaxNumber.
func number(b []byte, i int) (n int64, next int) {
	start := i
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		// Below this bound a step exceeds MaxNumber by 2 at most, which shows as
		// a negative n: one comparison a digit and one at the end will do.
		if n > MaxNumber/10 {
			return 0, 0
		}
		n = n*10 + int64(d)
		if n < 0 {
			return 0, 0
		}
	}
	if i == start {
		return 0, 0
	}
	return n, i
}

// appendNumber appends n, which is not negative, in decimal.
func appendNumber(b []byte, n int64) []byte {
	var d [MaxDigits]byte
	i := len(d) - 1
	u := uint64(n)
	for ; u >= 10; i-- {
		d[i] = byte('0' + u%10)
		u /= 10
	}
	d[i] = byte('0' + u)
	return append(b, d[i:]...)
}

// appendPadded appends n, which is not negative, in decimal with leading zeros up to
// width digits, of which there are at most MaxDigits. A longer n is written whole.
func appendPadded(b []byte, n int64, width int) []byte {
	var d [MaxDigits]byte
	i := len(d) - 1
	u := uint64(n)
	for ; u >= 10; i-- {
		d[i] = byte('0' + u%10)
		u /= 10
	}
	d[i] = byte('0' + u)
	for ; len(d)-i < width; i-- {
		d[i-1] = '0'
	}
	return append(b, d[i:]...)
}

// Digits is how many digits n has, which is not negative.
func Digits(n int64) int {
	k := 1
	for ; n >= 10; n /= 10 {
		k++
	}
	return k
}
