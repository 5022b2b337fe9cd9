package docs_test

import (
	"slices"
	"strings"
	"testing"
)

// A way is what the test does with a block.
type way int

const (
	// run runs the commands in a shell of the page, in a folder of its own, beside a server at
	// ADDR and PORT. What stands behind a command is what it prints.
	run way = iota + 1
	// serve starts the one command, waits until it listens and ends it: it must end with 0.
	serve
	// parse looks whether the commands are right as far as that can be told without them: their
	// options, and the tests that they name.
	parse
	// output is what the block before prints.
	output
	// not is not run at all.
	not
)

// A rule says what is done with a block.
type rule struct {
	page, first string // the page, and how the block's first line begins
	way         way
	// why not, for what does not run. For what runs it says what is not compared.
	why string
	// only are the beginnings of the lines that are compared, if not all are.
	only []string
	// pings says that the commands ping outside of a lab, and need the right to.
	pings bool
	needs []string // programs that have to be there
}

const (
	minutes = "it takes minutes"
	service = "it is for a service manager; the tests of packages and of cmd/mdalpd are beside one"
	inTests = "go test of that package runs it anyway, and its times differ"
)

// rules is the table of all blocks, page by page.
var rules = []rule{
	{page: "README.md", first: "go run ./cmd/mdalp lab", way: run},
	{page: "README.md", first: "profile continents", way: output},
	{page: "README.md", first: "go install", way: run},
	{page: "README.md", first: "sudo setcap", way: not, why: "sudo; the scripts of cmd/mdalp set the capability on a copy"},
	{page: "README.md", first: "mdalpd --receivers", way: serve},
	{page: "README.md", first: "mdalp -a ADDR", way: run},

	{page: "docs/send.md", first: "mdalp -a ADDR -p PORT -f FILE", way: run},
	{page: "docs/send.md", first: "$ head -c", way: run, only: []string{"transaction", "waited", "extended"}, why: "which segments a queue drops is luck"},
	{page: "docs/send.md", first: "mdalp -a ADDR -p PORT a b c", way: run},

	{page: "docs/commands.md", first: "mdalp lab --profile lan -- mdalp", way: run},
	{page: "docs/commands.md", first: "mdalp lab --profile tampered", way: run},
	{page: "docs/commands.md", first: "mdalp ping", way: run, pings: true},
	{page: "docs/commands.md", first: "mdalp plan", way: run},
	{page: "docs/commands.md", first: "mdalp bench", way: run},
	{page: "docs/commands.md", first: "mdalp -a ADDR", way: run},
	{page: "docs/commands.md", first: "tcpdump", way: not, why: "it goes on until Ctrl-C; the scripts of cmd/mdalp feed decode by a pipe and interrupt it"},
	{page: "docs/commands.md", first: "tshark", way: run, needs: []string{"tshark"}},
	{page: "docs/commands.md", first: "mdalp lab -- mdalp --pcap", way: run},
	{page: "docs/commands.md", first: "mdalp doctor", way: run, pings: true},
	{page: "docs/commands.md", first: "mdalp unfinished", way: run},
	{page: "docs/commands.md", first: "mdalp key", way: run},

	{page: "docs/serve.md", first: "mdalpd --receivers", way: serve},
	{page: "docs/serve.md", first: "mdalp key north.key", way: run},
	{page: "docs/serve.md", first: "mdalpd --store DIR --key", way: parse, why: "the keys are in another folder; the scripts of cmd/mdalpd start it with keys"},
	{page: "docs/serve.md", first: "mdalpd store ls", way: run},

	{page: "docs/security.md", first: "mdalp key office.key", way: run, pings: true},
	{page: "docs/security.md", first: "$ mdalpd", way: run},
	{page: "docs/security.md", first: "$ mdalp -a", way: run},
	{page: "docs/security.md", first: "$ kill", way: run},

	{page: "docs/exit-codes.md", first: "$ mdalp", way: run},

	{page: "docs/resume.md", first: "$ head", way: run},
	{page: "docs/resume.md", first: "$ ./mdalpd", way: run},

	{page: "docs/scripting.md", first: "$ mdalp -a", way: run, needs: []string{"jq"}},
	{page: "docs/scripting.md", first: "$ test", way: run, needs: []string{"jq"}},
	{page: "docs/scripting.md", first: "$ mdalp ping", way: run, needs: []string{"jq"}, pings: true},

	{page: "docs/walk.md", first: "$ git clone", way: not, why: "URL is a place on the network"},
	{page: "docs/walk.md", first: "$ go build", way: run, only: []string{}, why: "doctor tells of the host it runs on"},
	{page: "docs/walk.md", first: "$ seq", way: run},
	{page: "docs/walk.md", first: "$ ./mdalp lab -- mdalp plan", way: run},
	{page: "docs/walk.md", first: "$ ./mdalp lab --profile lan", way: run},
	{page: "docs/walk.md", first: "$ ./mdalp decode", way: run},
	{page: "docs/walk.md", first: "$ tshark", way: run, needs: []string{"tshark"}, only: []string{"1 0.", "2 0.", "frame.number"}, why: "the order of packets is luck"},
	{page: "docs/walk.md", first: "$ ./mdalp lab --profile dying", way: run,
		only: []string{"transaction", "waited", "receiver", "54.200.52.112:4650 is", "not acknowledged:", "mdalp:", "1"}, why: "how far it comes in a second is luck"},
	{page: "docs/walk.md", first: "$ ./mdalp lab -- timeout", way: run,
		only: []string{"transaction", "waited", "mdalp:", "Try", "130", "2", "3", "4", "no transaction"}, why: "how far it comes in a second is luck"},
	{page: "docs/walk.md", first: "$ ./mdalp ping", way: not, why: "sudo; the scripts of cmd/mdalp set the capability on a copy"},

	{page: "docs/compare.md", first: "$ go test . -run TestReplay", way: parse, why: inTests},
	{page: "docs/compare.md", first: "$ mdalp lab --profile capture", way: parse, why: minutes},
	{page: "docs/compare.md", first: "head -c 5000", way: parse, why: minutes},

	{page: "docs/coverage.md", first: "go test", way: parse, why: minutes},

	{page: "docs/simulation.md", first: "$ go test", way: parse, why: inTests + "; some take minutes"},
	{page: "docs/simulation.md", first: "go test", way: parse, why: minutes},

	{page: "docs/library.md", first: "mkdir hello", way: not, why: "a test of the root builds and runs the program of this page"},
	{page: "docs/library.md", first: "require mdalp", way: not, why: "lines of a go.mod"},
	{page: "docs/library.md", first: "go mod tidy", way: not, why: "a test of the root builds and runs the program of this page"},

	{page: "docs/operation.md", first: "mdalpd --store", way: serve},
	{page: "docs/operation.md", first: "systemctl", way: not, why: service},
	{page: "docs/operation.md", first: "# systemctl edit", way: not, why: service},
	{page: "docs/operation.md", first: "MDALPD_STORE=", way: serve},
	{page: "docs/operation.md", first: "mdalpd: ", way: not, why: "a message; the scripts of cmd/mdalpd compare it"},
	{page: "docs/operation.md", first: "$ MDALPD_STORE=", way: not, why: "it looks at port 4650 of this host; the scripts of cmd/mdalpd run check"},
	{page: "docs/operation.md", first: "sh -c", way: not, why: service},
	{page: "docs/operation.md", first: "systemd-socket-activate", way: not, why: service},
	{page: "docs/operation.md", first: "level=INFO", way: not, why: "lines of a log; the scripts of cmd/mdalpd compare them"},

	{page: "docs/status.md", first: "mdalpd --store", way: serve},
	{page: "docs/status.md", first: "location /", way: not, why: "lines of another program's configuration"},
	{page: "docs/status.md", first: "[Service]", way: not, why: service},
	{page: "docs/status.md", first: "scrape_configs:", way: not, why: "lines of another program's configuration"},

	{page: "bench/README.md", first: "CGO_ENABLED=0 go build", way: parse, why: "it needs valgrind and a quiet machine"},
	{page: "bench/README.md", first: "$ go run ./bench/compare", way: parse, why: minutes},
}

// ruleOf gives the rule of a block: of those that fit the one with the longest beginning.
func ruleOf(b *block) (found *rule) {
	if len(b.lines) == 0 {
		return nil
	}
	for i := range rules {
		r := &rules[i]
		if r.page == b.page && strings.HasPrefix(b.lines[0], r.first) && (found == nil || len(r.first) > len(found.first)) {
			found = r
		}
	}
	return found
}

// TestBlocks runs the commands of every page.
func TestBlocks(t *testing.T) {
	used := make(map[*rule]bool)
	list := pages(t)
	for _, page := range list {
		blocks, text := split(t, page)
		var ours []*block
		for _, b := range blocks {
			r := ruleOf(b)
			switch {
			// Other languages are not for a shell, and pictures in text are no commands.
			case r == nil && slices.Contains([]string{"go", "json", "text", "ini", "toml", "yaml", "promql"}, b.info):
				continue
			case r == nil:
				t.Errorf("%s: nobody says what to do with this block; add it to the table in docs/blocks_test.go: run it, or say why not", b.at())
				continue
			case (r.way == not || r.way == parse || r.only != nil) && r.why == "":
				t.Errorf("%s: the rule does not say why", b.at())
			}
			used[r] = true
			ours = append(ours, b)
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			checkSpans(t, page, text)
			runPage(t, ours)
		})
	}
	for i := range rules {
		if r := &rules[i]; !used[r] && slices.Contains(list, r.page) {
			t.Errorf("docs/blocks_test.go: %s has no block that begins with %q; take the rule out", r.page, r.first)
		}
	}
}
