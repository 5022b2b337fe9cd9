package usage

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Size adds an option for a number of bytes to f: 1048576, 1024K, 1M. A value below 0
// stands for a default that is not a number of bytes, and is not shown.
func Size(f *pflag.FlagSet, p *int64, name string, value int64, text string) {
	*p = value
	f.Var((*size)(p), name, text)
	if value <= 0 {
		f.Lookup(name).DefValue = "0" // which the help leaves out
	}
}

type size int64

// errSize is never shown: [Value] has the words.
var errSize = errors.New("no size")

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	shift := 0
	if n := len(text); n > 0 {
		if i := strings.IndexByte("KMGT", text[n-1]&^0x20); i >= 0 {
			shift, text = 10*(i+1), text[:n-1]
		}
	}
	// A sign is none of a size.
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return errSize
	}
	*s = size(n << shift)
	return nil
}

// String implements pflag.Value. It gives the largest unit that leaves no fraction.
func (s *size) String() string {
	n, unit := int64(*s), ""
	for _, u := range []string{"K", "M", "G", "T"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatInt(n, 10) + unit
}

// Type implements pflag.Value.
func (s *size) Type() string { return "size" }
