// Package docs_test keeps the pages true: it runs their commands, compares what they show, and
// looks at links, options and words.
package docs_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bin has the programs of this module, as they are shipped.
var bin string

// root is the folder of the module.
var root, _ = filepath.Abs("..")

func TestMain(m *testing.M) {
	flag.Parse()
	// Pages wait more than they compute.
	flag.Set("test.parallel", "12")
	os.Exit(build(m))
}

// build builds the programs, and runs the tests.
func build(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "mdalp-docs-"); err == nil {
		defer os.RemoveAll(bin)
		c := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "mdalp/cmd/...", "mdalp/bench/pipe", "mdalp/bench/compare")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = c.CombinedOutput(); err != nil {
			err = fmt.Errorf("go build: %w: %s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// A block is the text between two fences of a page.
type block struct {
	page  string
	line  int    // of its first line
	info  string // behind the fence, as go or sh
	lines []string
}

// at is where a block is, for messages.
func (b *block) at() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// fleet are the pages about the module of that name.
var fleet = []string{"docs/fleet.md", "docs/scale.md"}

// pages are those whose commands run, by their paths from the root of the module.
func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("*.md")
	if err != nil || len(list) == 0 {
		t.Fatal("no pages in docs: ", err)
	}
	// Those of the fleet name commands of another module, whose tests run them.
	list = slices.DeleteFunc(list, func(p string) bool { return slices.Contains(fleet, "docs/"+p) })
	for i := range list {
		list[i] = "docs/" + list[i]
	}
	return slices.Concat([]string{"README.md", "bench/README.md"}, list)
}

// read gives a page as lines.
func read(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// split takes a page apart: its blocks, and the text outside of them, with empty lines where the
// blocks are.
func split(t *testing.T, page string) (blocks []*block, text []string) {
	t.Helper()
	var in *block
	for i, l := range read(t, page) {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(l), "```")
		switch {
		case isFence && in == nil:
			in = &block{page: page, line: i + 2, info: fence}
		case isFence:
			blocks, in = append(blocks, in), nil
		case in != nil:
			in.lines = append(in.lines, l)
		default:
			text = append(text, l)
			continue
		}
		text = append(text, "")
	}
	if in != nil {
		t.Errorf("%s: the block does not end", in.at())
	}
	return blocks, text
}

// spans are the pieces of code in a text: those between backticks.
var spans = regexp.MustCompile("`[^`]+`")
