package wire_test

import (
	"os"
	"strings"
	"testing"
)

// The grammar has one home, the package comment. PROTOCOL.md has a copy, so that who
// writes a peer needs that page alone; it must be the same, line by line.
func TestGrammarInProtocol(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(doc)) {
		rule, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "//\t")
		if name, _, is := strings.Cut(rule, "="); !ok || !is || strings.Contains(strings.TrimSpace(name), " ") || strings.Contains(name, ";") {
			continue
		}
		n++
		if rule = strings.ReplaceAll(rule, `\\`, `\`); !strings.Contains(string(page), "\n"+rule+"\n") {
			t.Errorf("PROTOCOL.md lacks the line: %s", rule)
		}
	}
	if n < 20 {
		t.Errorf("only %d rules are found in the package comment", n)
	}
}
