package campaign

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// payload makes a file of that many bytes, and gives its name and content.
func payload(t *testing.T, size int) (file string, b []byte) {
	t.Helper()
	b = make([]byte, size)
	rand.Read(b)
	file = filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, b
}

// stored reports whether the directory has such a payload.
func (f *fleet) stored(b []byte) bool {
	all, _ := filepath.Glob(filepath.Join(f.dir, "*.bin"))
	for _, name := range all {
		if there, err := os.ReadFile(name); err == nil && bytes.Equal(there, b) {
			return true
		}
	}
	return false
}

// Payloads of either protocol arrive, and status tells of all that there is.
func TestWhole(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		f := open(t, whole)
		file, b := payload(t, 3<<20)
		start := time.Now()
		if r := f.deliver(t.Context(), file); r.code != 0 || !f.stored(b) {
			t.Errorf("extended: %+v, stored %v", r, f.stored(b))
		}
		t.Logf("3 MiB took %v", time.Since(start))
		file, b = payload(t, 5000)
		if r := f.deliver(t.Context(), file, "--base"); r.code != 0 {
			t.Errorf("base: %+v", r)
		}
		for end := time.Now().Add(patience); !f.stored(b); <-time.After(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the base payload is not there")
			}
		}
		v := f.view()
		well := func() bool {
			v = f.view()
			return len(v.Parties) == 6 && len(v.Streams) == 4 && len(v.Problems) == 0
		}
		if !eventually(well) {
			t.Errorf("%+v", v)
		}
		var text bytes.Buffer
		if err := v.Text(&text); err != nil {
			t.Error(err)
		}
		t.Logf("\n%s", &text)
	})
}
