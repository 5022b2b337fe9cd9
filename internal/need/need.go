// Package need is for tests that need something which not every machine has: a privilege, a
// program, a kernel's favour.
package need

import (
	"os"
	"testing"
)

// Skip skips a test because of why. Where everything has to be tested, which CI=true says, it
// fails instead: so a green run there means that all was tried.
func Skip(tb testing.TB, why ...any) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatal(why...)
	}
	tb.Skip(why...)
}
