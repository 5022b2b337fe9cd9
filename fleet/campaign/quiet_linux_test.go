package campaign

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Where nothing is wrong nothing is warned of, and what is over leaves nothing behind but payloads.
func TestQuiet(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		f := open(t, options{engines: 1, orchestrators: 1, receivers: 2})
		parts := append([]*part{f.orchestrators[0]}, f.receivers...)
		for _, p := range parts { // what came before all were there
			if err := os.Truncate(p.log, 0); err != nil {
				t.Fatal(err)
			}
		}
		const each = 3
		for range each {
			for _, args := range [][]string{{}, {"--base"}, {"--no-verify"}} {
				file, _ := payload(t, 20_000)
				if r := f.send(t.Context(), file, args...); r.code != 0 {
					t.Fatalf("%q: %+v", args, r)
				}
			}
		}
		var names []string
		for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
			entries, err := os.ReadDir(f.dir)
			if err != nil {
				t.Fatal(err)
			}
			names = names[:0]
			whole := 0
			for _, e := range entries {
				if names = append(names, e.Name()); strings.HasSuffix(e.Name(), ".bin") {
					whole++
				}
			}
			if whole == 3*each && len(names) == whole+1 { // and .fleet
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%q are there", names)
			}
		}
		for _, p := range parts {
			b, err := os.ReadFile(p.log)
			if err != nil {
				t.Fatal(err)
			}
			for l := range strings.Lines(string(b)) {
				if !strings.Contains(l, "level=INFO") {
					t.Errorf("%s: %s", p.room.Name, l)
				}
			}
		}
	})
}
