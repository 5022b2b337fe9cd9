package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// luck are lines that come as often as datagrams are lost, or as a machine is busy.
	luck = regexp.MustCompile(`timeout: sending again|msg=progress|^lab: after |^\d+ datagrams dropped: |pings are not possible`)
	// noise is what the shell and others say beside the commands.
	noise = regexp.MustCompile(`^(bash: line \d+:|Running as user |\[\d+\])|^\s*$`)
	// varying is what differs from run to run: digests, numbers with their units, and what a page
	// leaves out.
	varying = regexp.MustCompile(`…|\.\.\.|\b[0-9a-f]{16,}\b|(\d[\d.,:]*\d|\d)(\s?(?:ns|µs|ms|s)\b|\s?(?:[kMG]?B)\b)?|\s+`)
	// plural is a word behind a number, which may be 1 the next time.
	plural = regexp.MustCompile(`([a-z]{2})s\b`)
	digit  = regexp.MustCompile(`^\d+$`)
)

// pattern makes a regular expression of a line of a page.
func pattern(line string) *regexp.Regexp {
	line = strings.TrimSpace(line)
	if digit.MatchString(line) {
		return regexp.MustCompile("^" + line + "$") // an exit code
	}
	var b strings.Builder
	b.WriteString("^")
	at, counted := 0, false
	literal := func(text string) {
		text = regexp.QuoteMeta(text)
		if counted {
			text = plural.ReplaceAllString(text, "${1}s?")
		}
		b.WriteString(text)
	}
	for _, m := range varying.FindAllStringSubmatchIndex(line, -1) {
		literal(line[at:m[0]])
		at = m[1]
		switch s := line[m[0]:m[1]]; {
		case s == "…" || s == "...":
			b.WriteString(".*")
		case strings.TrimSpace(s) == "":
			b.WriteString(`\s+`)
		case m[2] < 0:
			b.WriteString("[0-9a-f]+")
		default:
			counted = true
			b.WriteString(`\d[\d.,:]*`)
			if m[4] >= 0 && strings.HasSuffix(s, "B") {
				b.WriteString(`\s?[kMG]?B`)
			} else if m[4] >= 0 {
				b.WriteString(`\s?(ns|µs|ms|s)`)
			}
		}
	}
	literal(line[at:])
	b.WriteString("$")
	return regexp.MustCompile(b.String())
}

// compare compares what a page shows with what a command printed. Lines of a log that a page
// shows have to be there; others may be there too. A line with nothing but … stands for any.
func compare(t *testing.T, at, want, got string, r *rule) {
	t.Helper()
	isLog := func(l string) bool { return strings.HasPrefix(l, "time=") }
	sort := func(text string) (results, logs []string) {
		for l := range strings.Lines(text) {
			l = strings.TrimSpace(l)
			switch {
			case noise.MatchString(l) || luck.MatchString(l):
			case isLog(l):
				logs = append(logs, l)
			default:
				results = append(results, l)
			}
		}
		return results, logs
	}
	wanted, wantedLogs := sort(want)
	printed, logs := sort(got)
	if r.only != nil {
		known := func(l string) bool {
			return slices.ContainsFunc(r.only, func(o string) bool { return strings.HasPrefix(l, o) })
		}
		wanted = slices.DeleteFunc(wanted, func(l string) bool { return !known(l) })
		printed = slices.DeleteFunc(printed, func(l string) bool { return !known(l) })
	}
	if l, ok := differs(wanted, printed, false); !ok {
		t.Errorf("%s: the page shows %q, which does not come there; it printed:\n%s", at, l, got)
	}
	if l, ok := differs(wantedLogs, logs, true); !ok {
		t.Errorf("%s: the page shows the log line %q, which does not come; it printed:\n%s", at, l, got)
	}
}

// differs looks for the first line of want that got does not have in its turn. With gaps got may
// have others between.
func differs(want, got []string, gaps bool) (line string, same bool) {
	for _, w := range want {
		if w == "…" || w == "..." {
			gaps = true
			continue
		}
		p := pattern(w)
		i := slices.IndexFunc(got, p.MatchString)
		if i < 0 || i > 0 && !gaps {
			return w, false
		}
		got = got[i+1:]
	}
	if len(got) > 0 && !gaps {
		return "the end", false
	}
	return "", true
}

// TestPattern sees that a page cannot show what does not come.
func TestPattern(t *testing.T) {
	for _, c := range []struct {
		page, printed string
		same          bool
	}{
		{"0", "0", true},
		{"0", "1", false},
		{"elapsed 2.445 s, all", "elapsed 900 ms,   all", true},
		{"elapsed 2.445 s", "elapsed s", false},
		{"windows of up to 3.0 MB, 0 lost", "windows of up to 210.0 kB, 12 lost", true},
		{"acks 51 of 51 segments, 0 duplicates", "acks 1 of 1 segment, 1 duplicate", true},
		{"acks 51 of 51 segments, 0 duplicates", "ack 51 of 51 segments, 0 duplicates", false},
		{"sha256 828443b00a141f48: complete", "sha256 0000000000000000: complete", true},
		{"sha256 4eb0…, verified", "sha256 2ab9, verified", false},
		{"sha256 …, verified", "sha256 2ab9, verified", true},
		{"Transaction completed!", "Transaction failed!", false},
		{"a.c", "abc", false},
	} {
		if got := pattern(c.page).MatchString(c.printed); got != c.same {
			t.Errorf("%q for %q: %v", c.page, c.printed, got)
		}
	}
	for _, c := range []struct {
		want, got string
		gaps      bool
		same      bool
	}{
		{"a|b", "a|b", false, true},
		{"a|b", "a|x|b", false, false},
		{"a|b", "a|x|b", true, true},
		{"a|b", "b|a", true, false},
		{"a|…|b", "a|x|y|b", false, true},
		{"a", "a|b", false, false},
		{"a", "", false, false},
	} {
		if _, got := differs(strings.Split(c.want, "|"), strings.FieldsFunc(c.got, func(r rune) bool { return r == '|' }), c.gaps); got != c.same {
			t.Errorf("%q for %q: %v", c.want, c.got, got)
		}
	}
}
