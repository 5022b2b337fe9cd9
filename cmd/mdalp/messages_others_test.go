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
	whole, err := os.ReadFile(continents)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"junk":     "not a capture at all, but long enough to be read as one",
		"bad.json": `{"name": 5}`,
		"empty":    "",
		"packed":   "\x1f\x8b\x08\x00",
		"head":     string(whole[:100]),
		"cut":      string(whole[:600]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args  []string
		code  int
		wrong string
	}{
		{[]string{"nosuch"}, 2, "there is no command \"nosuch\" among bench, completion, decode, doctor, help, key, lab, man, ping, plan, send, unfinished, version; a file goes behind -f\nHELP"},
		{[]string{""}, 2, "there is no command \"\" among bench, completion, decode, doctor, help, key, lab, man, ping, plan, send, unfinished, version; a file goes behind -f\nHELP"},
		{[]string{"help", "nosuch"}, 2, "there is no command \"nosuch\": see mdalp help\nHELP"},
		{[]string{"help", "send", "x"}, 2, "there is no command \"send x\": see mdalp help\nHELP"},
		{[]string{"--help=maybe"}, 2, "-h, --help: \"maybe\" is neither true nor false\nHELP"},
		{[]string{"key", "a", "b"}, 2, "unexpected argument \"b\": a key has one file\nHELP"},
		{[]string{"key", ""}, 2, "the name of the key file is empty\nHELP"},
		{[]string{"key", "DIR/f"}, 4, "DIR/f: it is there already, and may be in use: name another file\n"},
		{[]string{"key", "DIR/no/key"}, 4, "DIR/no/key: no such file or directory\n"},
		{[]string{"version", "x"}, 2, "unexpected argument \"x\"\nHELP"},
		{[]string{"ping"}, 2, "say whom to ping: HOST..., - for standard input, -f FILE, or -a ADDR -p PORT\nHELP"},
		{[]string{"ping", "--count", "0", "127.0.0.1"}, 2, "--count 0: it is 1 to 1000\nHELP"},
		{[]string{"ping", "--count", "-1", "127.0.0.1"}, 2, "--count -1: it is 1 to 1000\nHELP"},
		{[]string{"ping", "--timeout", "-5s", "127.0.0.1"}, 2, "--timeout -5s: it must be more than 0\nHELP"},
		{[]string{"ping", "--interval", "0", "127.0.0.1"}, 2, "--interval 0s: it is 1ms or more\nHELP"},
		{[]string{"ping", "--intent-timeout", "-1", "-a", "127.0.0.1", "-p", "1"}, 2, "--intent-timeout -1s: it may not be negative\nHELP"},
		{[]string{"ping", "--count"}, 2, "-c, --count: a value must follow\nHELP"},
		{[]string{"ping", "--json=maybe", "127.0.0.1"}, 2, "--json: \"maybe\" is neither true nor false\nHELP"},
		{[]string{"ping", "255.255.255.255"}, 2, "255.255.255.255 is no host's address\nHELP"},
		{[]string{"ping", "-"}, 2, "standard input names no host\nHELP"},
		{[]string{"ping", "--bind", "224.0.0.1", "127.0.0.1"}, 4, "--bind 224.0.0.1: it is no address of one host\n"},
		{[]string{"ping", "-a", "127.0.0.1:5", "-p", "5"}, 4, "-a 127.0.0.1:5: the port goes behind -p: -a 127.0.0.1 -p 5\n"},
		{[]string{"ping", "--bind", "fe80::1", "::1"}, 4, "--bind fe80::1: name the interface too, as in fe80::1%eth0\n"},
		{[]string{"ping", "fe80::1"}, 4, "fe80::1: name the interface too, as in fe80::1%eth0\n"},
		{[]string{"ping", "-6", "fe80::1%nosuch0"}, 4, "fe80::1%nosuch0: there is no interface nosuch0\n"},
		{[]string{"ping", "-a", "127.0.0.1", "-p", "1"}, 3, "no offer: intent to 127.0.0.1:1: connection refused\n"},
		{[]string{"ping", "--count", "x", "127.0.0.1"}, 2, "-c, --count: \"x\" is no whole number, or too large\nHELP"},
		{[]string{"ping", "--interval", "soon", "127.0.0.1"}, 2, "-i, --interval: \"soon\" is no time: it is seconds, or a number and a unit such as 500ms or 2m\nHELP"},
		{[]string{"ping", "--ping", "off", "127.0.0.1"}, 2, "--ping off: it is raw, dgram or auto\nHELP"},
		{[]string{"ping", "-a", "127.0.0.1"}, 2, "the orchestrator's port, 1 to 65535, is needed: -p PORT (or MDALP_PORT)\nHELP"},
		{[]string{"ping", "-p", "5", "127.0.0.1"}, 2, "hosts and -a exclude each other\nHELP"},
		{[]string{"ping", "no such name"}, 2, "\"no such name\" is no host: one a line\nHELP"},
		{[]string{"ping", "--bind", "nosuch0", "127.0.0.1"}, 4, "--bind nosuch0: it is neither an address nor an interface\n"},
		{[]string{"ping", "-46", "127.0.0.1"}, 2, "-4 and -6 exclude each other\nHELP"},
		{[]string{"plan"}, 2, "how much would be sent is needed: -f FILE or --size N\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1"}, 2, "how much would be sent is needed: -f FILE or --size N\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "--size", "-1"}, 2, "--size -1: it may not be negative\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "--size", "1e3"}, 2, "--size: \"1e3\" is no whole number, or too large\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "--size", "9223372036854775807"}, 2, "a payload of 9223372036854775807 bytes: 4611686018427387904 are the most\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "-f", "DIR"}, 4, "-f DIR: it is a directory: give a file, or - for standard input\n"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "--size", "5", "--bind", "224.0.0.1"}, 4, "--bind 224.0.0.1: it is no address of one host\n"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "--size", "5", "-f", "DIR/f"}, 2, "--size and -f exclude each other\nHELP"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/missing"}, 4, "-f DIR/missing: no such file or directory\n"},
		{[]string{"plan", "-a", "127.0.0.1", "-p", "1", "--size", "5", "--ping", "off"}, 3, "no offer: intent to 127.0.0.1:1: connection refused\n"},
		{[]string{"bench"}, 2, "the orchestrator's address is needed: -a ADDR (or MDALP_ADDR)\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/missing"}, 4, "-f DIR/missing: no such file or directory\n"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--runs", "0"}, 2, "--runs 0: at least 1 is needed\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--format", "xml"}, 2, "--format xml: it is table, json or benchfmt\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--balance", "fair"}, 2, "--balance fair: it is a list of icmp, equal and adaptive\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--warmup", "-1"}, 2, "--warmup -1: it may not be negative\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--balance", ","}, 2, "--balance \"\": it is a list of icmp, equal and adaptive\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--balance", "icmp,icmp"}, 2, "--balance icmp: it is there twice\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/empty"}, 2, "-f DIR/empty: there is nothing to send: it is empty\nHELP"},
		{[]string{"bench", "-a", "127.0.0.1", "-p", "1", "-f", "DIR/f", "--ping", "off"}, 3, "no offer: intent to 127.0.0.1:1: connection refused\n"},
		{[]string{"decode", ""}, 2, "the name of a capture is empty\nHELP"},
		{[]string{"decode", "-", "-"}, 2, "-: standard input can be read only once\nHELP"},
		{[]string{"decode", "-"}, 4, "-: neither a pcapng nor a pcap capture: it is empty\n"},
		{[]string{"decode", "DIR/empty"}, 4, "DIR/empty: neither a pcapng nor a pcap capture: it is empty\n"},
		{[]string{"decode", "DIR/packed"}, 4, "DIR/packed: neither a pcapng nor a pcap capture: it is compressed by gzip: gunzip it first\n"},
		{[]string{"decode", "DIR/head"}, 4, "DIR/head: the capture ends before its first packet\n"},
		{[]string{"decode", "DIR/cut"}, 4, "DIR/cut: the capture ends in the middle of packet 6: it was cut\n"},
		{[]string{"decode", "no\n\x1b"}, 4, "no\\n\\x1b: no such file or directory\n"},
		{[]string{"decode", "--json=x", "DIR/f"}, 2, "--json: \"x\" is neither true nor false\nHELP"},
		{[]string{"decode"}, 2, "name the captures to decode: FILE..., or - for standard input\nHELP"},
		{[]string{"decode", "DIR/missing"}, 4, "DIR/missing: no such file or directory\n"},
		{[]string{"decode", "DIR"}, 4, "DIR: it is a directory: give the captures in it, or - for standard input\n"},
		{[]string{"decode", "DIR/junk"}, 4, "DIR/junk: neither a pcapng nor a pcap capture, as tcpdump -w, Wireshark or mdalp send --pcap write it\n"},
		{[]string{"doctor", "x"}, 2, "unexpected argument \"x\"\nHELP"},
		{[]string{"doctor", "-a", "no such name"}, 4, "-a no such name: no such host\n"},
		{[]string{"doctor", "-a", "::"}, 4, "-a ::: it is no address of one host\n"},
		{[]string{"doctor", "-a", "127.0.0.1:5"}, 4, "-a 127.0.0.1:5: the port goes behind -p: -a 127.0.0.1 -p 5\n"},
		{[]string{"doctor", "--receivers", "4097"}, 2, "--receivers 4097: it is 1 to 4096, as many as an offer may name\nHELP"},
		{[]string{"doctor", "--receivers", "0"}, 2, "--receivers 0: it is 1 to 4096, as many as an offer may name\nHELP"},
		{[]string{"lab", "--profile", "nosuch"}, 2, "--profile: no profile \"nosuch\": built in are continents, capture, lossy, lan, misleading, dead, refusing, dying, reviving, broadband, datacentre, satellite, shared, tampered; anything else is a file\nHELP"},
		{[]string{"lab", "--profile", "DIR/bad.json"}, 2, "--profile: profile DIR/bad.json: line 1: name can not be a number\nHELP"},
		{[]string{"lab", "--seed", "-1"}, 2, "--seed: \"-1\" is no whole number from 0 on, or too large\nHELP"},
		{[]string{"lab", "x"}, 2, "unexpected argument \"x\": a command goes behind --\nHELP"},
		{[]string{"lab", "x", "--", "true"}, 2, "unexpected argument \"x\": a command goes behind --\nHELP"},
		{[]string{"lab", "--", ""}, 2, "the command behind -- is empty\nHELP"},
		{[]string{"lab", "--profile", "DIR/missing.json"}, 4, "--profile DIR/missing.json: no such file or directory\n"},
		{[]string{"lab", "--profile", "DIR"}, 4, "--profile DIR: it is a directory: give a JSON file in it\n"},
		{[]string{"lab", "--profile", "DIR/empty"}, 2, "--profile: profile DIR/empty: the file ends too early\nHELP"},
		{[]string{"lab", "--profile", "lan", "--", "nosuch"}, 4, "-- nosuch: there is no such command in PATH\n"},
		{[]string{"lab", "--profile", "lan", "--", "DIR/f"}, 4, "-- DIR/f: permission denied\n"},
		{[]string{"completion"}, 2, "name one shell: bash, zsh, fish or powershell\nHELP"},
		{[]string{"completion", "tcsh"}, 2, "there is no completion for \"tcsh\": it is bash, zsh, fish or powershell\nHELP"},
		{[]string{"man", ""}, 2, "the folder's name is empty\nHELP"},
		{[]string{"man", "DIR/f"}, 4, "DIR/f: not a directory\n"},
		{[]string{"man", "/proc/nosuch/x"}, 4, "/proc/nosuch/x: no such file or directory\n"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			// The command whose help tells the options; of what is none, the program.
			help := "mdalp --help"
			if n := c.args[0]; n != "" && n != "nosuch" && n != "help" && n[0] != '-' {
				help = "mdalp " + n + " --help"
			}
			fill := strings.NewReplacer("DIR", dir, "HELP", "Try '"+help+"'.\n")
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
