package docs_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// linked are the pages whose links are looked at: those that run, and those that only tell.
func linked(t *testing.T) []string {
	return slices.Concat(pages(t), fleet, []string{"PROTOCOL.md", "ARCHITECTURE.md", "CHANGELOG.md"})
}

var (
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	plain = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks follows every link between files of this tree, with its anchor.
func TestLinks(t *testing.T) {
	for _, page := range linked(t) {
		_, text := split(t, page)
		for i, l := range text {
			for _, m := range link.FindAllStringSubmatch(l, -1) {
				if strings.Contains(m[1], "://") {
					continue // of others: nothing here is asked over the network
				}
				file, anchor, _ := strings.Cut(m[1], "#")
				to := page
				if file != "" {
					to = path.Join(path.Dir(page), file)
				}
				if _, err := os.Stat(filepath.Join(root, to)); err != nil {
					t.Errorf("%s:%d: link to %s: there is no %s", page, i+1, m[1], to)
				} else if anchor != "" && !slices.Contains(anchors(t, to), anchor) {
					t.Errorf("%s:%d: link to %s: %s has no such heading: %v", page, i+1, m[1], to, anchors(t, to))
				}
			}
		}
	}
}

// anchors are the names by which the headings of a page are linked, as GitHub makes them: in small
// letters, without signs, with - for spaces, and with a number if the name was there before.
func anchors(t *testing.T, page string) (names []string) {
	_, text := split(t, page)
	for _, l := range text {
		title, ok := strings.CutPrefix(strings.TrimLeft(l, "#"), " ")
		if !ok || !strings.HasPrefix(l, "#") {
			continue
		}
		title = plain.ReplaceAllString(strings.ToLower(link.ReplaceAllString(title, "")), "")
		name := strings.ReplaceAll(title, " ", "-")
		for n := 1; slices.Contains(names, name); n++ {
			name = strings.ReplaceAll(title, " ", "-") + "-" + string(rune('0'+n))
		}
		names = append(names, name)
	}
	return names
}

// TestLength keeps the first page short: it is for people who have never heard of it.
func TestLength(t *testing.T) {
	if n := len(read(t, "README.md")); n > 150 {
		t.Errorf("README.md has %d lines, 150 are the most; move what is not for newcomers to docs", n)
	}
}

// TestMessages looks for the messages that the page of troubles explains: they must be in the
// programs, word for word.
func TestMessages(t *testing.T) {
	var source strings.Builder
	for _, glob := range []string{"*.go", "cmd/*/*.go", "cmd/internal/*/*.go", "server/*.go"} {
		files, _ := filepath.Glob(filepath.Join(root, glob))
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && !strings.HasSuffix(f, "_test.go") {
				source.Write(text)
			}
		}
	}
	found := 0
	for i, l := range read(t, "docs/troubleshooting.md") {
		cells := strings.Split(l, "|")
		if len(cells) < 3 {
			continue
		}
		for _, s := range spans.FindAllString(cells[1], -1) {
			// What stands behind a colon or a … is put together when it happens.
			s, _, _ = strings.Cut(strings.Trim(s, "`"), ":")
			if !strings.Contains(s, " ") {
				continue // an option or a word
			}
			if found++; !strings.Contains(source.String(), s) {
				t.Errorf("docs/troubleshooting.md:%d: no program says %q", i+1, s)
			}
		}
	}
	if found == 0 {
		t.Error("docs/troubleshooting.md explains no message")
	}
}
