// Package apart gives tests programs whose wall clocks are apart, as those of several machines
// are: they are built with another package time. The monotonic clock stays what it is, and so
// do the kernel's own stamps, as those of files. No program that is shipped has any of this.
package apart

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// env is the variable by which such a program knows the file that tells how far its clock is
// ahead. It is read every 20 ms, so that a clock can be set while the program runs.
const env = "MDALP_APART"

//go:embed testdata/apart.go
var added string

// What package time has, and what it is replaced by.
const (
	reads   = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	changed = reads + "\tsec += ahead.Load()\n"
)

// Build compiles a package of the module in a folder with such a clock, to a program in the
// folder bin, and fails where the source of this release of Go is another than is known.
func Build(in, bin, path string) error {
	tmp, err := os.MkdirTemp("", "mdalp-apart")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	overlay, err := overlaid(in, tmp)
	if err != nil {
		return err
	}
	c := exec.Command("go", "build", "-buildvcs=false", "-overlay", overlay, "-o", bin+"/", path)
	c.Dir = in
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build -overlay %s: %w: %s", path, err, out)
	}
	return nil
}

// overlaid writes the changed source, and what tells go build of it, into tmp.
func overlaid(in, tmp string) (overlay string, err error) {
	c := exec.Command("go", "env", "GOROOT", "GOVERSION")
	c.Dir = in
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	root, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	is := filepath.Join(root, "src", "time", "time.go")
	text, err := os.ReadFile(is)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), reads); n != 1 {
		return "", fmt.Errorf("%s of %s has %d times, and not once:\n%s"+
			"so no clocks can be set apart with this release; see how its time.Now reads the clock",
			is, version, n, reads)
	}
	replace := make(map[string]string)
	for to, text := range map[string]string{
		is: strings.Replace(string(text), reads, changed, 1),
		filepath.Join(filepath.Dir(is), "apart.go"): added,
	} {
		replace[to] = filepath.Join(tmp, filepath.Base(to))
		if err := os.WriteFile(replace[to], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(tmp, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}

// A Clock is the wall clock of programs that Build has built.
type Clock struct {
	file string
	by   time.Duration
	made time.Time
}

// NewClock makes one that is so far ahead, in whole seconds; below 0 it is behind.
func NewClock(tb testing.TB, by time.Duration) *Clock {
	tb.Helper()
	c := &Clock{file: filepath.Join(tb.TempDir(), "clock"), made: time.Now()}
	if err := c.Set(by); err != nil {
		tb.Fatal(err)
	}
	return c
}

// Set sets it, as somebody does to a clock of a machine that runs.
func (c *Clock) Set(by time.Duration) error {
	// Not in place: half of a number would be one, too.
	fresh := c.file + ".new"
	if err := os.WriteFile(fresh, []byte(strconv.Itoa(int(by/time.Second))), 0o600); err != nil {
		return err
	}
	c.by = by
	return os.Rename(fresh, c.file)
}

// Check waits until a program with this clock has begun its log, and fails unless the first time there
// is that far ahead of some instant since the clock was made: pattern finds it, and layout says how it
// is written.
func (c *Clock) Check(tb testing.TB, log, pattern, layout string) {
	tb.Helper()
	for end := time.Now().Add(5 * time.Minute); ; <-time.After(20 * time.Millisecond) {
		b, err := os.ReadFile(log)
		stamp := regexp.MustCompile(pattern).FindSubmatch(b)
		if stamp == nil && time.Now().Before(end) {
			continue
		}
		if stamp == nil {
			tb.Fatalf("%s tells no time: %.300q, %v", log, b, err)
		}
		at, err := time.ParseInLocation(layout, string(stamp[1]), time.Local)
		if err != nil {
			tb.Fatal(err)
		}
		now, is := time.Now(), at.Add(-c.by)
		const whole = 2 * time.Second // it may be written in seconds
		if is.Before(c.made.Add(-whole)) || is.After(now.Add(whole)) {
			tb.Fatalf("%s: the clock is ahead by %v, and not %v", log, at.Sub(now), c.by)
		}
		return
	}
}

// Environ is the environment of a program that has this clock.
func (c *Clock) Environ() []string { return append(os.Environ(), env+"="+c.file) }
