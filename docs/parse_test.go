package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// checkSpans looks at the commands in the text of a page, between backticks: those of go are
// checked as those in blocks that do not run.
func checkSpans(t *testing.T, page string, text []string) {
	// A span may go on in the next line.
	whole := strings.Join(text, "\n")
	for _, at := range spans.FindAllStringIndex(whole, -1) {
		s := strings.Join(strings.Fields(strings.Trim(whole[at[0]:at[1]], "`")), " ")
		if strings.HasPrefix(s, "go test ") || strings.HasPrefix(s, "go run ") || strings.HasPrefix(s, "cd bench/peers && go test ") {
			// In a table a | is written so.
			checkLine(t, &block{page: page, line: 1 + strings.Count(whole[:at[0]], "\n")}, strings.ReplaceAll(s, `\|`, "|"))
		}
	}
}

var (
	word   = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)
	quotes = strings.NewReplacer("'", "", `"`, "")
)

// checkLine checks a command line without running it.
func checkLine(t *testing.T, b *block, line string) {
	t.Helper()
	dir := "."
	if rest, ok := strings.CutPrefix(line, "cd bench/peers && "); ok {
		dir, line = "bench/peers", rest
	}
	line, _, _ = strings.Cut(line, " | ")
	line, _, _ = strings.Cut(line, " >")
	words := word.FindAllString(line, -1)
	for i := range words {
		if words[i] = quotes.Replace(words[i]); words[i] == "N" || words[i] == "S" {
			words[i] = "1" // as a page writes any number
		}
	}
	for len(words) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0]) {
		words = words[1:] // a variable for the command
	}
	switch {
	case len(words) < 2:
	case words[0] == "go" && words[1] == "test":
		checkTest(t, b, dir, words[2:])
	case words[0] == "go" && (words[1] == "run" || words[1] == "build"):
		i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "./") })
		if i < 0 {
			t.Errorf("%s: %s: it names no package of this module", b.at(), line)
			return
		}
		if main, _ := filepath.Glob(filepath.Join(root, words[i], "main.go")); len(main) == 0 {
			t.Errorf("%s: there is no program in %s", b.at(), words[i])
		}
		if name := filepath.Base(words[i]); words[1] == "run" && strings.HasPrefix(words[i], "./bench/") {
			checkHelp(t, b, append([]string{name}, words[i+1:]...), "-help")
		}
	case words[0] == "mdalp" || words[0] == "mdalpd" || words[0] == "mdalplot":
		inner := slices.Index(words, "--")
		if inner < 0 {
			inner = len(words)
		} else {
			checkHelp(t, b, words[inner+1:], "--help")
		}
		checkHelp(t, b, words[:inner], "--help")
	}
}

// checkHelp asks for the help behind the options of a command line: who does not know one says
// so first.
func checkHelp(t *testing.T, b *block, words []string, help string) {
	t.Helper()
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "[") })
	c := exec.Command(filepath.Join(bin, words[0]), append(words[1:], help)...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%s: %s: %v: %s", b.at(), strings.Join(words, " "), err, out)
	}
}

// flags are those of go test that pages use, and whether a value follows.
var flags = map[string]bool{
	"-v": false, "-run": true, "-bench": true, "-fuzz": true, "-fuzztime": true, "-benchtime": true, "-timeout": true,
	"-count": true, "-coverpkg": true, "-coverprofile": true, "-race": false, "-tags": true,
}

// checkTest sees that the tests which a go test names are there, and the flags that they add.
func checkTest(t *testing.T, b *block, dir string, words []string) {
	t.Helper()
	values := make(map[string]string)
	var packages, own []string
	for i := 0; i < len(words); i++ {
		w, value, given := strings.Cut(words[i], "=")
		takes, known := flags[w]
		switch {
		case !strings.HasPrefix(w, "-"):
			// What is no folder is the value of a flag of the tests' own.
			if w == "." || strings.HasPrefix(w, "./") {
				packages = append(packages, w)
			}
		case known && takes && !given && i+1 < len(words):
			i++
			values[w] = words[i]
		case known:
			values[w] = value
		default:
			own = append(own, strings.TrimPrefix(w, "-"))
		}
	}
	if slices.Contains(packages, "./...") {
		return
	}
	var source strings.Builder
	for _, p := range packages {
		files, _ := filepath.Glob(filepath.Join(root, dir, p, "*_test.go"))
		if len(files) == 0 {
			t.Errorf("%s: there are no tests in %s", b.at(), p)
		}
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil {
				source.Write(text)
			}
		}
	}
	for _, name := range own {
		if !regexp.MustCompile(`flag\.\w+\("` + name + `"`).MatchString(source.String()) {
			t.Errorf("%s: no test in %s has a flag -%s", b.at(), packages, name)
		}
	}
	for flag, kind := range map[string]string{"-run": "Test", "-bench": "Benchmark", "-fuzz": "Fuzz"} {
		pattern, given := values[flag]
		pattern, _, _ = strings.Cut(pattern, "/") // a part of a test
		if !given || pattern == "." || flag == "-run" && (pattern == "^$" || pattern == "xxx") {
			continue
		}
		named, err := regexp.Compile(pattern)
		found := slices.ContainsFunc(regexp.MustCompile(`(?m)^func (\w+)\(`).FindAllStringSubmatch(source.String(), -1), func(m []string) bool {
			return err == nil && strings.HasPrefix(m[1], kind) && named.MatchString(m[1])
		})
		if !found {
			t.Errorf("%s: %s %s fits nothing in %s", b.at(), flag, pattern, packages)
		}
	}
}
