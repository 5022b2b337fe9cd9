package wire

// MaxNumber is the largest number of a field or a range, 2^63-1. A larger one
// is an error: a number that wrapped could name another transaction.
const MaxNumber = 1<<63 - 1

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
	var d [19]byte // MaxNumber has 19 digits
	i := len(d) - 1
	u := uint64(n)
	for ; u >= 10; i-- {
		d[i] = byte('0' + u%10)
		u /= 10
	}
	d[i] = byte('0' + u)
	return append(b, d[i:]...)
}
