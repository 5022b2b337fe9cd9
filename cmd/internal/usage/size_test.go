package usage

import (
	"testing"

	"github.com/spf13/pflag"
)

func TestSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64 // negative: an error
		show string
	}{
		{"0", 0, "0"}, {"1", 1, "1"}, {"1023", 1023, "1023"}, {"1024", 1024, "1K"},
		{"3k", 3072, "3K"}, {"3K", 3072, "3K"}, {"2M", 2 << 20, "2M"}, {"5g", 5 << 30, "5G"}, {"7T", 7 << 40, "7T"},
		{"1025K", 1025 << 10, "1025K"}, {"2048T", 1 << 51, "2048T"},
		{"8388607T", 8388607 << 40, "8388607T"}, {"8388608T", -1, ""}, {"9223372036854775807", 1<<63 - 1, "9223372036854775807"},
		{"9223372036854775808", -1, ""}, {"", -1, ""}, {"K", -1, ""}, {"-1", -1, ""}, {"+1", -1, ""}, {"1.5G", -1, ""}, {"1KB", -1, ""},
		{"1 K", -1, ""}, {"1e3", -1, ""}, {"0x10", -1, ""}, {"1_000", -1, ""}, {"1P", -1, ""},
	} {
		var n int64
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		Size(f, &n, "size", 42, "")
		err := f.Set("size", c.text)
		switch {
		case c.want < 0 && (err == nil || n != 42):
			t.Errorf("%q: %d, %v, want an error", c.text, n, err)
		case c.want >= 0 && (err != nil || n != c.want || f.Lookup("size").Value.String() != c.show):
			t.Errorf("%q: %d, %v, shown as %s", c.text, n, err, f.Lookup("size").Value)
		}
	}
}
