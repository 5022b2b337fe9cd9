// Package bugs builds a test binary whose source has bugs in it, of which one at a time is on:
// what a simulation is worth is what it finds of them. For tests only.
package bugs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Env tells such a binary by its number which bug is on; without it none is.
const Env = "MDALP_PLANTED"

// Build compiles the tests of the package at hand with the source as texts has it, by absolute
// paths. A bug is on where planted(k) is true for its number k; packages says by their folders how
// the packages are called that have such bugs.
func Build(tb testing.TB, texts, packages map[string]string) (bin string) {
	tb.Helper()
	tmp := tb.TempDir()
	replace := make(map[string]string)
	put := func(path, text string) {
		name := filepath.Join(tmp, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		replace[path] = name
	}
	for path, text := range texts {
		put(path, text)
	}
	for dir, name := range packages {
		path, err := filepath.Abs(filepath.Join(dir, "planted.go"))
		if err != nil {
			tb.Fatal(err)
		}
		put(path, "package "+name+"\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\n"+
			"var plantedBug, _ = strconv.Atoi(os.Getenv(\""+Env+"\"))\n\n"+
			"func planted(k int) bool { return plantedBug == k }\n")
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		tb.Fatal(err)
	}
	overlay := filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		tb.Fatal(err)
	}
	bin = filepath.Join(tmp, "planted.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("the source with the bugs does not build: %v\n%s", err, out)
	}
	return bin
}
