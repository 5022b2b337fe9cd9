package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMessagesOfOthers lists what a user can do wrong with the commands beside send, as
// TestMessages does for send: all that is then on standard error, and the exit code.
func TestMessagesOfOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	payloadFile(t, dir, "f", 250)
	for name, text := range map[string]string{
		"junk":     "not a capture at all, but long enough to be read as one",
		"bad.json": `{"name": 5}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill := strings.NewReplacer("DIR", dir, "HELP", "Try 'mdalp --help'.\n")
	for _, c := range []struct {
		args  []string
		code  int
		wrong string
	}{
		{[]string{"nosuch"}, 2, "there is no command \"nosuch\" among bench, completion, decode, doctor, help, lab, man, ping, plan, send, version; a file goes behind -f\nHELP"},
		{[]string{"version", "x"}, 2, "unexpected argument \"x\"\nHELP"},
		{[]string{"ping"}, 2, "say whom to ping: HOST..., - for standard input, or -a ADDR -p PORT\nHELP"},
		{[]string{"ping", "--count", "0", "127.0.0.1"}, 2, "--count 0: it is 1 to 1000\nHELP"},
		{[]string{"ping", "--count", "x", "127.0.0.1"}, 2, "--count: \"x\" is no whole number, or too large\nHELP"},
		{[]string{"ping", "--interval", "soon", "127.0.0.1"}, 2, "--interval: \"soon\" is no time: it is seconds, or a number and a unit such as 500ms or 2m\nHELP"},
		{[]string{"ping", "--ping", "off", "127.0.0.1"}, 2, "--ping off: it is raw, dgram or auto\nHELP"},
		{[]string{"ping", "-a", "127.0.0.1"}, 2, "the orchestrator's port, 1 to 65535, is needed: -p PORT (or MDALP_PORT)\nHELP"},
		{[]string{"ping", "-p", "5", "127.0.0.1"}, 2, "hosts and -a exclude each other\nHELP"},
		{[]string{"ping", "no such name"}, 2, "\"no such name\" is no host: one a line\nHELP"},
		{[]string{"ping", "--bind", "nosuch0", "127.0.0.1"}, 4, "--bind nosuch0: it is neither an address nor an interface\n"},
		{[]string{"ping", "-46", "127.0.0.1"}, 2, "-4 and -6 exclude each other\nHELP"},
		{[]string{"plan"}, 2, "how much would be sent is needed: -f FILE or --size N\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1"}, 2, "how much would be sent is needed: -f FILE or --size N\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "--size", "-1"}, 2, "--size -1: it may not be negative\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "--size", "5", "-f", "DIR/f"}, 2, "--size and -f exclude each other\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/missing"}, 4, "-f DIR/missing: no such file or directory\n"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "--size", "5"}, 3, "no offer: intent to 127.0.0.1:1: connection refused\n"},
		{[]string{"bench"}, 2, "the orchestrator's address is needed: -a ADDR (or MDALP_ADDR)\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/missing"}, 4, "-f DIR/missing: no such file or directory\n"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--runs", "0"}, 2, "--runs 0: at least 1 is needed\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--format", "xml"}, 2, "--format xml: it is table, json or benchfmt\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--balance", "fair"}, 2, "--balance fair: it is a list of icmp, equal and adaptive\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--warmup", "-1"}, 2, "--warmup -1: it may not be negative\nHELP"},
		{[]string{"decode"}, 2, "name the captures to decode: FILE..., or - for standard input\nHELP"},
		{[]string{"decode", "DIR/missing"}, 4, "DIR/missing: no such file or directory\n"},
		{[]string{"decode", "DIR"}, 4, "DIR: is a directory\n"},
		{[]string{"decode", "DIR/junk"}, 4, "DIR/junk: neither a pcapng nor a pcap capture\n"},
		{[]string{"doctor", "x"}, 2, "unexpected argument \"x\"\nHELP"},
		{[]string{"doctor", "-a", "no such name"}, 4, "-a no such name: no such host\n"},
		{[]string{"doctor", "--receivers", "0"}, 2, "--receivers 0: it is 1 to 4096, as many as an offer may name\nHELP"},
		{[]string{"lab", "--profile", "nosuch"}, 2, "--profile: no profile \"nosuch\": built in are continents, capture, lossy, lan, misleading, dead, refusing, dying, reviving; anything else is a file\nHELP"},
		{[]string{"lab", "--profile", "DIR/bad.json"}, 2, "--profile: profile DIR/bad.json: line 1: name can not be a number\nHELP"},
		{[]string{"lab", "--seed", "-1"}, 2, "--seed: \"-1\" is no whole number from 0 on, or too large\nHELP"},
		{[]string{"lab", "x"}, 2, "unexpected argument \"x\": a command goes behind --\nHELP"},
		{[]string{"lab", "--profile", "DIR/missing.json"}, 2, "--profile: open DIR/missing.json: no such file or directory\nHELP"},
		{[]string{"completion"}, 2, "name one shell: bash, zsh, fish or powershell\nHELP"},
		{[]string{"completion", "tcsh"}, 2, "there is no completion for \"tcsh\": it is bash, zsh, fish or powershell\nHELP"},
		{[]string{"man", "/proc/nosuch/x"}, 4, "/proc/nosuch/x: no such file or directory\n"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			var args []string
			for _, a := range c.args {
				args = append(args, fill.Replace(a))
			}
			if _, errs, code := command(t, "", args...); code != c.code || errs != fill.Replace("mdalp: "+c.wrong) {
				t.Errorf("exit code %d instead of %d:\n%swant\n%s", code, c.code, errs, fill.Replace("mdalp: "+c.wrong))
			}
		})
	}
}
