package main

import (
	"strings"
	"testing"
)

// The line that stands for others has the form of the others.
func TestGap(t *testing.T) {
	for format, want := range map[string]string{
		"text":     `level=WARN msg="lines are missing here: nobody took them in time" lines=7` + "\n",
		"json":     `"level":"WARN","msg":"lines are missing here: nobody took them in time","lines":7}` + "\n",
		"original": "WARNING:__main__:lines are missing here: nobody took them in time lines=7\n",
	} { // order does not show
		if got := gap(&sendOptions{output: output{logFormat: format}}, 7); !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q", format, got)
		}
	}
}
