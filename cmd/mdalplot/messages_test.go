package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mdalp/cmd/internal/script"
)

// TestMessages lists what a user can do wrong with mdalplot, or what can go wrong for him:
// all that is then on standard error, and the exit code. A message says what was wrong,
// where, and what would be right. HELP stands for the line that follows an error of the
// command line, DIR for a folder with the files below in it. Nothing is drawn then.
func TestMessages(t *testing.T) {
	dir := t.TempDir()
	capture, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(capture)
	z.Close()
	const finished = `{"event":"finished","schema":"mdalp.send/1","tid":1,"size_bytes":100,"segments":1,"receivers":[{"address":"192.0.2.1","port":4650,"latency_ms":null,"share_bytes":100}]}` + "\n"
	for name, text := range map[string]string{
		"run.pcapng": string(capture), "run.gz": packed.String(), "cut.pcapng": string(capture[:100]), "empty": "", "text": "nothing of the kind",
		"send2": `{"schema":"mdalp.send/2"}`, "plan": `{"schema":"mdalp.plan/1"}`, "object": `{}`, "brace": `{`, "syntax": `{"schema" 5}`, "number": `{"schema":5}`,
		"tid": `{"schema":"mdalp.send/1","tid":"x"}`, "one": finished, "two": finished + strings.Replace(finished, `"tid":1`, `"tid":2`, 1),
		"failed": `{"event":"finished","schema":"mdalp.send/1","receivers":[]}`,
		"bench2": `{"schema":"mdalp.bench/2"}`, "bench": `{"schema":"mdalp.bench/1","series":[{"mode":1,"balance":"icmp","failed_runs":3,"samples":[]}]}`,
		"series": `{"schema":"mdalp.bench/1","series":5}`, "null": `{"schema":"mdalp.bench/1","series":[null]}`, "mode": `{"schema":"mdalp.bench/1","series":[{"mode":7}]}`,
		"huge":     `{"schema":"mdalp.bench/1","series":[{"mode":1,"samples":[{"probe_seconds":1e308,"transfer_seconds":2}]}]}`,
		"negative": `{"schema":"mdalp.bench/1","series":[{"mode":1,"samples":[{"probe_seconds":0,"transfer_seconds":-1}]}]}`,
	} { // order does not show
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.svg"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", filepath.Join(dir, "full.svg")); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 300)
	fill := strings.NewReplacer("DIR", dir, "LONG", long, "HELP", "Try 'mdalplot --help'.\n")
	const noStream = "events do not tell single acknowledgements: give a capture, as mdalp send --pcap writes it\n"
	for _, c := range []struct {
		args  string // split at blanks, but for _, which stands for nothing
		code  int
		wrong string
	}{
		// The command line as such.
		{"", 2, "say what to draw: sequence, delay, share, window, rate or compare\nHELP"},
		{"pie DIR/one", 2, "there is no picture \"pie\": it is sequence, delay, share, window, rate or compare\nHELP"},
		{"--output x", 2, "there is no option --output\nHELP"},
		{"help pie", 2, "there is no command \"pie\": see mdalplot help\nHELP"},
		{"man a b", 2, "unexpected argument \"b\"\nHELP"},
		{"man _", 2, "the folder's name is empty\nHELP"},
		{"completion tcsh", 2, "there is no completion for \"tcsh\": it is bash, zsh, fish or powershell\nHELP"},
		{"sequence", 2, "name the file to draw, or - for standard input: mdalplot sequence FILE -o OUT.svg|OUT.png\nHELP"},
		{"compare -o x.svg", 2, "name the file to draw, or - for standard input: mdalplot compare BENCH.json -o OUT.svg|OUT.png\nHELP"},
		{"share _ -o x.svg", 2, "the name of the file to draw is empty\nHELP"},
		{"delay a b -o x.svg", 2, "unexpected argument \"b\": a picture shows one file\nHELP"},
		{"sequence DIR/one --colour", 2, "there is no option --colour\nHELP"},
		{"sequence DIR/one -o", 2, "-o, --output: a value must follow\nHELP"},
		{"sequence DIR/one", 2, "name the picture: -o FILE.svg or -o FILE.png\nHELP"},
		{"sequence DIR/one -o _", 2, "-o \"\": the name must end with .svg or .png\nHELP"},
		{"sequence DIR/one -o x.svg -o x.jpg", 2, "-o x.jpg: the name must end with .svg or .png\nHELP"},
		{"sequence DIR/folder.svg -o DIR/folder.svg", 2, "-o DIR/folder.svg: that is the file to draw\nHELP"},
		{"sequence DIR/one -o x.svg --tid x", 2, "--tid: \"x\" is no whole number, or too large\nHELP"},
		{"sequence DIR/one -o x.svg --tid -1", 2, "--tid -1: it may not be negative\nHELP"},
		{"sequence DIR/two -o x.svg", 2, "DIR/two: it holds 2 transactions: choose one with --tid: 1, 2\nHELP"},
		{"sequence DIR/two -o x.svg --tid 3", 2, "DIR/two: it holds no transaction 3: --tid is one of 1, 2\nHELP"},
		// Files that cannot be read.
		{"sequence DIR/none -o x.svg", 4, "DIR/none: no such file or directory\n"},
		{"sequence DIR/one/x -o x.svg", 4, "DIR/one/x: not a directory\n"},
		{"sequence LONG -o x.svg", 4, "LONG: file name too long\n"},
		{"sequence no\n\xff -o x.svg", 4, "no\\n\\xff: no such file or directory\n"},
		{"sequence DIR -o x.svg", 4, "DIR: it is a directory: name a file in it\n"},
		{"compare DIR -o x.svg", 4, "DIR: it is a directory: name a file in it\n"},
		// Files that hold nothing to draw.
		{"sequence DIR/empty -o x.svg", 4, "DIR/empty: it is empty\n"},
		{"sequence - -o x.svg", 4, "-: it is empty\n"},
		{"sequence DIR/text -o x.svg", 4, "DIR/text: neither a capture (pcapng or pcap) nor the JSON of mdalp\n"},
		{"sequence /dev/zero -o x.svg", 4, "/dev/zero: neither a capture (pcapng or pcap) nor the JSON of mdalp\n"},
		{"sequence DIR/run.gz -o x.svg", 4, "DIR/run.gz: neither a pcapng nor a pcap capture: it is compressed by gzip: gunzip it first\n"},
		{"sequence DIR/cut.pcapng -o x.svg", 4, "DIR/cut.pcapng: the capture ends in the middle of packet 1: it was cut\n"},
		{"sequence DIR/send2 -o x.svg", 4, "DIR/send2: object 1 has the schema \"mdalp.send/2\" instead of \"mdalp.send/1\"\n"},
		{"sequence DIR/plan -o x.svg", 4, "DIR/plan: object 1 has the schema \"mdalp.plan/1\" instead of \"mdalp.send/1\"\n"},
		{"sequence DIR/object -o x.svg", 4, "DIR/object: object 1 has the schema \"\" instead of \"mdalp.send/1\"\n"},
		{"sequence DIR/brace -o x.svg", 4, "DIR/brace: it ends in the middle of object 1: it was cut\n"},
		{"sequence DIR/syntax -o x.svg", 4, "DIR/syntax: object 1 is not the JSON of mdalp: that is no JSON after 11 bytes\n"},
		{"sequence DIR/number -o x.svg", 4, "DIR/number: object 1 is not the JSON of mdalp: its schema cannot be a number\n"},
		{"sequence DIR/tid -o x.svg", 4, "DIR/tid: object 1 is not the JSON of mdalp: its tid cannot be a string\n"},
		{"sequence DIR/one -o x.svg", 4, "DIR/one: it tells only how the transfer ended: give the events of --json-stream, or a capture\n"},
		{"sequence DIR/failed -o x.svg", 4, "DIR/failed: it holds no transaction that sent a segment\n"},
		{"sequence DIR/bench -o x.svg", 4, "DIR/bench: that is a comparison of mdalp bench: draw it with mdalplot compare\n"},
		{"delay DIR/one -o x.svg", 4, "DIR/one: " + noStream},
		{"share DIR/one -o x.svg", 4, "DIR/one: no receiver in it was pinged\n"},
		{"compare DIR/text -o x.svg", 4, "DIR/text: that is no JSON: it is what mdalp bench --format json prints\n"},
		{"compare DIR/run.pcapng -o x.svg", 4, "DIR/run.pcapng: that is no JSON: it is what mdalp bench --format json prints\n"},
		{"compare DIR/brace -o x.svg", 4, "DIR/brace: it ends in the middle: it was cut\n"},
		{"compare DIR/bench2 -o x.svg", 4, "DIR/bench2: it has the schema \"mdalp.bench/2\" instead of \"mdalp.bench/1\"\n"},
		{"compare DIR/one -o x.svg", 4, "DIR/one: that is a transfer: draw it with mdalplot sequence, or share\n"},
		{"compare DIR/series -o x.svg", 4, "DIR/series: it is not what mdalp bench --format json prints: its series cannot be a number\n"},
		{"compare DIR/null -o x.svg", 4, "DIR/null: it holds a series that is of no mode, 1 or 2\n"},
		{"compare DIR/mode -o x.svg", 4, "DIR/mode: it holds a series that is of no mode, 1 or 2\n"},
		{"compare DIR/huge -o x.svg", 4, "DIR/huge: it holds a run whose times, 1e+308 s and 2 s, cannot be right\n"},
		{"compare DIR/negative -o x.svg", 4, "DIR/negative: it holds a run whose times, 0 s and -1 s, cannot be right\n"},
		{"compare DIR/bench -o x.svg", 4, "DIR/bench: no run in it ended well\n"},
		// Pictures that cannot be written.
		{"share DIR/run.pcapng -o DIR/none/x.svg", 4, "-o DIR/none/x.svg: no such file or directory\n"},
		{"share DIR/run.pcapng -o DIR/LONG.svg", 4, "-o DIR/LONG.svg: file name too long\n"},
		{"share DIR/run.pcapng -o DIR/folder.svg", 4, "-o DIR/folder.svg: is a directory\n"},
		{"share DIR/run.pcapng -o DIR/full.svg", 4, "-o DIR/full.svg: no space left on device\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var args []string
			if c.args != "" {
				args = strings.Split(fill.Replace(c.args), " ")
			}
			for i, a := range args {
				args[i] = strings.TrimPrefix(a, "_")
			}
			out, errs, code := script.Command(t, "mdalplot", args...)
			if want := fill.Replace("mdalplot: " + c.wrong); code != c.code || errs != want || out != "" {
				t.Errorf("exit code %d instead of %d:\n%s%swant\n%s", code, c.code, out, errs, want)
			}
			if _, err := os.Stat("x.svg"); err == nil {
				t.Error("something was drawn")
				os.Remove("x.svg")
			}
		})
	}
}
