package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// odd are words that are hard for who reads English as a second language, or that only those who
// wrote them understand, with a better one. The patterns are for whole words.
var odd = []struct {
	pattern *regexp.Regexp
	better  string
}{
	{regexp.MustCompile(`(?i)\bmend(s|ed|ing)?\b`), "fix"},
	{regexp.MustCompile(`(?i)\bruns? dry\b`), "is done, has nothing left to send"},
	{regexp.MustCompile(`(?i)\bmakes? no sense\b`), "is wrong, does not go together"},
	{regexp.MustCompile(`(?i)\bthe house\b`), "this project"},
}

// TestWords keeps odd words out of the pages, and out of what the programs print: the string
// literals of the commands, and of the packages whose messages they print.
func TestWords(t *testing.T) {
	look := func(at, text string, line int) {
		for _, o := range odd {
			if m := o.pattern.FindStringIndex(text); m != nil {
				t.Errorf("%s:%d: %q: say it in plain English: %s", at, line+strings.Count(text[:m[0]], "\n"), text[m[0]:m[1]], o.better)
			}
		}
	}
	for _, page := range linked(t) {
		for i, l := range read(t, page) {
			// The changelog has to name a word that was there before.
			if page != "CHANGELOG.md" || !strings.Contains(l, "`mend`") {
				look(page, l, i+1)
			}
		}
	}
	for _, schema := range glob(t, "docs/schema/*.json") {
		text, err := os.ReadFile(filepath.Join(root, schema))
		if err != nil {
			t.Fatal(err)
		}
		look(schema, string(text), 1)
	}
	fset := token.NewFileSet()
	for _, pattern := range []string{"*.go", "cmd/*/*.go", "cmd/internal/*/*.go", "server/*.go", "loop/*.go", "icmp/*.go", "wire/*.go", "internal/*/*.go"} {
		for _, name := range glob(t, pattern) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, filepath.Join(root, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
					look(name, s.Value, fset.Position(s.Pos()).Line)
				}
				return true
			})
		}
	}
}

// glob gives files by their paths from the root of the module. There must be some.
func glob(t *testing.T, pattern string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files: %v", pattern, err)
	}
	for _, f := range files {
		name, err := filepath.Rel(root, f)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.ToSlash(name))
	}
	return names
}
