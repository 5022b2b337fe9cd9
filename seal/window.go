package seal

// Remembered is how many numbers below the largest seen are remembered at least: one of
// them is taken if it has not come yet. What is older is taken for a replay. A train of
// segments is a hundred; this is room for twenty that were overtaken.
const Remembered = 2048

const (
	wordBits = 64
	words    = Remembered/wordBits + 1 // one is of the newest numbers, and may be nearly empty
)

// A window tells which numbers were seen: a ring of bits, whose oldest word is cleared as a
// newer begins (RFC 6479).
type window struct {
	newest uint64 // word
	bits   [words]uint64
}

// fresh reports whether n was not seen and is not too old.
func (w *window) fresh(n uint64) bool {
	word := n / wordBits
	switch {
	case word > w.newest:
		return true
	case w.newest-word >= words:
		return false
	}
	return w.bits[word%words]>>(n%wordBits)&1 == 0
}

// mark notes that n, which is fresh, was seen.
func (w *window) mark(n uint64) {
	word := n / wordBits
	if word > w.newest {
		for range min(word-w.newest, words) {
			w.newest++
			w.bits[w.newest%words] = 0
		}
		w.newest = word
	}
	w.bits[word%words] |= 1 << (n % wordBits)
}
