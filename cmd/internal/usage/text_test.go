package usage_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mdalp/cmd/internal/usage"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{ // order does not show
		"":                 "",
		"plain (1) ~":      "plain (1) ~",
		"Zürich 東京":        "Zürich 東京",
		"\x1b]0;x\a\x1b[m": `\x1b]0;x\a\x1b[m`,
		"a\r\nb\tc\x00":    `a\r\nb\tc\x00`,
		"a\u202eb\u2066":   `a\u202eb\u2066`,
		"\u009b2J\x9b2J":   `\u009b2J\x9b2J`,
		"\x7f\xff\xfe":     `\x7f\xff\xfe`,
		"a\u200bb\ufeff":   `a\u200bb\ufeff`,
		"\uFFFD":           "\uFFFD",
	} {
		if got := usage.Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if got := usage.Line(errors.New(in)); got != want {
			t.Errorf("an error, %q: %q, want %q", in, got, want)
		}
	}
	if got := usage.Name(strings.Repeat("ä", 61)); got != strings.Repeat("ä", 60)+"…" {
		t.Error(got)
	}
	if got := usage.Name(strings.Repeat("a", 60)); got != strings.Repeat("a", 60) {
		t.Error(got)
	}
	if got := usage.Text(strings.Repeat("a", 9000)); len(got) != 8192+len("…") {
		t.Error(len(got))
	}
	if got := usage.Quote("a \"b\" \x1b"); got != `"a \"b\" \x1b"` {
		t.Error(got)
	}
}

// foreign are names of what is not ours, in the code of the commands.
var foreign = []string{"name", "names", "Name", "Names", "file", "File", "files", "path", "Path", "host", "hosts", "Host", "Comment", "Verdicts", "Receiver"}

// cleaners are the functions that make a text fit for a terminal, or that only look at it.
var cleaners = []string{"Text", "Name", "Quote", "Line", "Shown", "shown", "label", "Label", "address", "Address", "printableName", "short", "len", "quote", "escape", "Errorf", "New", "lower", "line"}

// printers are the functions that write text for people.
var printers = []string{"Fprintf", "Fprintln", "Fprint", "Printf", "Println", "Print", "wrap"}

// TestPrinters looks at every place of the commands that prints: a name of a receiver, a
// file or a host goes through one of cleaners, or the line ends with "// ours: NAME" for
// what we have named ourselves. Errors are cleaned where they are printed, by Line.
func TestPrinters(t *testing.T) {
	found := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "script") {
			return err
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		excused := map[int]string{}
		for _, g := range tree.Comments {
			for _, c := range g.List {
				if _, what, ok := strings.Cut(c.Text, "// ours: "); ok {
					excused[fset.Position(c.Pos()).Line] = what
				}
			}
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !slices.Contains(printers, called(call)) {
				return true
			}
			found++
			for _, arg := range call.Args {
				for _, id := range raw(arg) {
					at := fset.Position(id.Pos())
					if excused[at.Line] != id.Name {
						t.Errorf("%s: %s is printed as it is: put usage.Text or usage.Name around it, or end the line with // ours: %s", at, id.Name, id.Name)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil || found < 20 {
		t.Errorf("%d printers, %v", found, err)
	}
}

// called gives the name of the function that is called.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// raw gives the foreign names in an expression that no cleaner is around. What comes of
// other calls is looked at by its arguments.
func raw(e ast.Expr) (all []*ast.Ident) {
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if slices.Contains(cleaners, called(n)) {
				return false
			}
			for _, a := range n.Args {
				all = append(all, raw(a)...)
			}
			return false
		case *ast.SelectorExpr:
			if slices.Contains(foreign, n.Sel.Name) {
				all = append(all, n.Sel)
			}
			return false
		case *ast.Ident:
			if slices.Contains(foreign, n.Name) {
				all = append(all, n)
			}
		}
		return true
	})
	return all
}
