package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"mdalp/cmd/internal/script"
)

// evil is what steers a terminal: its title, a bell, a cleared screen, colours, lines of its
// own, writing turned around, the one-byte form of an escape sequence as a character and
// as a byte that is no UTF-8, and what a logger makes an escape sequence of.
const evil = "\x1b]0;pwned\x07\x1b[2J\x1b[5;31mA\rB\nC\tD\u202eE\u009b2J\x9b2JF\u2066G\x7fH \\x1b]0;I\\x1b[2J"

// ownEscapes are those that the commands write themselves: colours of log lines and the
// movements of the bars. Tabs stand between columns.
var ownEscapes = regexp.MustCompile(`\x1b\[(\d?m|[0-9;]*[mKJABh])|[\r\t]`)

// steers gives the first of a text that no terminal should see.
func steers(text string) string {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") || r != '\n' && !unicode.IsPrint(r) {
			return fmt.Sprintf("%q in %q", r, text[max(0, i-40):min(len(text), i+40)])
		}
	}
	return ""
}

// python writes text as a string of the offer.
func python(text string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range strings.ToValidUTF8(text, "") {
		fmt.Fprintf(&b, `\U%08x`, r)
	}
	b.WriteByte('\'')
	return b.String()
}

// TestStrangers runs every command with names that are not ours, from an offer, a capture
// and the command line. Nothing but printable text comes out, to a file and to a
// terminal. JSON is left out: it has escapes of its own.
func TestStrangers(t *testing.T) {
	t.Parallel()
	p := newReceivers(t, 1)
	dir := t.TempDir()
	f := payloadFile(t, dir, "f", 250)
	odd := payloadFile(t, dir, "x"+strings.ReplaceAll(evil, "/", "")+"y", 250)
	capture := filepath.Join(dir, "c"+evil+".pcapng")
	name := python(evil + strings.Repeat("long ", 700))
	offers := map[string]string{
		"names":   fmt.Sprintf("Type:1;TID:5;DATA:[{'ip_address': '127.0.0.1', 'port': %s, 'name': %s}]", p.port, name),
		"hosts":   fmt.Sprintf("Type:1;TID:5;DATA:[{'ip_address': %s, 'name': %s}]", name, name),
		"zones":   fmt.Sprintf("Type:1;TID:5;DATA:[{'ip_address': 'fe80::1%%' %s, 'name': %s}]", python(evil), name),
		"no list": "Type:1;TID:5;DATA:[" + evil,
	}
	to := []string{"-a", "127.0.0.1", "-p", p.port, "--deadline", "20s"}
	ask := to[:4]
	send := func(more ...string) []string { return append(append([]string{"send"}, to...), more...) }
	all := [][]string{
		append([]string{"ping", "--count", "1", "-vv"}, ask...),
		append([]string{"plan", "--size", "100", "-vv"}, ask...),
		append([]string{"bench", "--runs", "1", "--warmup", "0", "-f", f, "-vv"}, ask...),
		append([]string{"bench", "--runs", "1", "--warmup", "0", "-f", f, "--format", "benchfmt"}, ask...),
		send("-f", f, "-vv"),
		send("-f", f, "-vv", "--log-format", "original"),
		send("-f", odd, "-f", odd, "-v", "--progress", "plain"),
		send("-f", odd, "-v", "--log-format", "original"),
		send("-f", f, "--pcap", capture),
		{"decode", capture},
	}
	// Without an orchestrator that answers.
	local := [][]string{
		{"ping", "a" + evil}, {evil}, {"--" + evil}, {"send", "-f", f, "-a", "a" + evil, "-p", "1"}, {"help", evil},
		{"decode", "nosuch" + evil}, {"lab", "--profile", evil}, {"doctor", evil}, send("-f", "nosuch"+evil), send("-f", f, "--bind", evil),
		send("-f", f, "--pcap", "nosuch"+evil+"/x"), send("-f", f, "--balance", evil), send("-f", f, "--deadline", evil),
	}
	run := func(what string, args []string) {
		args = slices.Clone(args)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "\x00", "")
		}
		out, errs, _ := script.Command(t, "mdalp", args...)
		if out+errs == "" {
			t.Errorf("%s, %q: nothing was printed", what, args[:1])
		}
		for _, text := range []string{out, errs} {
			if slices.Contains(args, "benchfmt") {
				text = strings.ReplaceAll(text, "\t", " ") // between its columns
			}
			if s := steers(text); s != "" {
				t.Errorf("%s, mdalp %.40q: %s", what, args, s)
			}
			if len(text) > 100_000 {
				t.Errorf("%s, mdalp %.40q: %d bytes", what, args, len(text))
			}
		}
		if s := steers(ownEscapes.ReplaceAllString(onTerminal(t, args), "")); s != "" {
			t.Errorf("%s, on a terminal, mdalp %.40q: %s", what, args, s)
		}
	}
	p.say(offers["names"])
	for _, args := range all {
		run("names", args)
	}
	// No receiver of these can be reached, so that nothing more is printed than this.
	for _, what := range []string{"hosts", "zones", "no list"} {
		p.say(offers[what])
		run(what, send("-f", f, "-vv", "--deadline", "1s"))
		run(what, send("-f", f, "-vv", "--deadline", "1s", "--log-format", "original"))
	}
	for _, args := range local {
		run("arguments", args)
	}
}

// onTerminal runs mdalp with its output on a terminal, and gives what came there.
func onTerminal(t *testing.T, args []string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "mdalp", args...)
	c.Stdout, c.Stderr = slave, slave
	c.Env = append(os.Environ(), "TERM=xterm")
	err = c.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	// Once all ends of the terminal are closed a read says EIO.
	io.Copy(&out, master)
	c.Wait()
	return out.String()
}
