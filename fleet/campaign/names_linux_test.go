package campaign

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Clients give names: two files of one name, at the same time, of which one's orchestrator dies.
func TestNamesFromClients(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		f := open(t, options{engines: 1, orchestrators: 2, receivers: 2, extra: []string{"--names-from-clients"}})
		const name = "a report; of today.txt"
		var files [2]string
		var bytesOf [2][]byte
		ended := make([]chan report, 2)
		for i := range files {
			from, b := payload(t, 8<<20+i)
			files[i], bytesOf[i] = filepath.Join(t.TempDir(), name), b
			if err := os.Rename(from, files[i]); err != nil {
				t.Fatal(err)
			}
			ended[i] = make(chan report, 1)
			go func() { ended[i] <- f.deliver(t.Context(), files[i], "--rate", "16M") }()
		}
		f.began(t)
		f.orchestrators[0].kill()
		for i := range files {
			r := <-ended[i]
			b, err := os.ReadFile(filepath.Join(f.dir, fmt.Sprint(r.Transaction, "-", name)))
			if r.code != 0 || !bytes.Equal(b, bytesOf[i]) {
				t.Errorf("%+v, %d bytes, %v", r, len(b), err)
			}
			if rec, err := f.record(r.Transaction); err != nil || rec.File != fmt.Sprint(r.Transaction, "-", name) {
				t.Errorf("%+v, %v", rec, err)
			}
		}
		if all, _ := filepath.Glob(filepath.Join(f.dir, "*.bin")); len(all) > 0 {
			t.Errorf("there are %q", all)
		}
	})
}
