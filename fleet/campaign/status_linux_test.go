package campaign

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"mdalp/fleet/overview"
)

// status runs mdalp-fleet status, and gives its exit code and what it said. Whatever the fleet is
// like, its form has to be right, and the code must say what the problems say.
func (f *fleet) status(t *testing.T, asJSON bool) (code int, said string) {
	t.Helper()
	args := []string{"status", "--engine", f.engines.URL(), "--timeout", "3s"}
	if asJSON {
		args = append(args, "--json")
	}
	c := f.clients.Command(program(t, "mdalp-fleet"), args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); c.ProcessState == nil {
		t.Fatal(err)
	}
	code, said = c.ProcessState.ExitCode(), out.String()
	problems := strings.Count(said, "\nproblem: ")
	formed := strings.HasPrefix(said, "ROLE ") && strings.Contains(said, "\nSTREAM ") &&
		strings.Contains(said, "\nopen: ") && strings.HasSuffix(said, "\n")
	if asJSON {
		v := new(overview.View)
		d := json.NewDecoder(&out)
		d.DisallowUnknownFields()
		formed = d.Decode(v) == nil && !d.More() && v.Problems != nil
		problems = len(v.Problems)
	}
	if !formed || errs.Len() > 0 || code != min(problems, 1) {
		t.Errorf("status ends with %d: %s%s", code, said, &errs)
	}
	return code, said
}

// watch has status called all the while, until stop is closed, and then until all is well.
func (f *fleet) watch(t *testing.T, stop <-chan struct{}) {
	codes := make(map[int]int)
	for n := 0; ; n++ {
		select {
		case <-stop:
			t.Logf("status was called %d times; exit codes %v", n, codes)
			f.well(t)
			return
		case <-time.After(300 * time.Millisecond):
		}
		code, _ := f.status(t, n%2 == 1)
		codes[code]++
	}
}

// well waits until status says that all is well.
func (f *fleet) well(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
		code, said := f.status(t, false)
		if code == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("all is not well: %s", said)
			return
		}
	}
}
