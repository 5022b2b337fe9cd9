package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMessages lists what a user can do wrong with mdalp send, or what can go wrong for
// him: all that is then on standard error, and the exit code. A message says what was
// wrong, where, and what would be right. HELP stands for the line that follows an error
// of the command line, PORT for the orchestrator's port, DIR for a folder.
func TestMessages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := payloadFile(t, dir, "f", 250)
	payloadFile(t, dir, "g", 90)
	secret := payloadFile(t, dir, "secret", 10)
	if err := os.Chmod(secret, 0); err != nil {
		t.Fatal(err)
	}
	// Without pings, for which not every user has the privilege.
	base := []string{"-a", "127.0.0.1", "-p", "PORT", "-f", f, "--ping", "off"}
	with := func(more ...string) []string { return append(base[:len(base):len(base)], more...) }
	for _, c := range []struct {
		args  []string
		env   string // NAME=VALUE
		peer  string // what the orchestrator answers; "" offers two receivers, "-" is silence, "closed" refuses
		deaf  bool   // the receivers acknowledge nothing
		code  int
		wrong string
	}{
		// What must be given.
		{args: nil, code: 2, wrong: "say what to do: -a ADDR -p PORT -f FILE sends a file\nHELP"},
		{args: []string{"send"}, code: 2, wrong: "the orchestrator's address is needed: -a ADDR (or MDALP_ADDR)\nTry 'mdalp send --help'.\n"},
		{args: []string{"-p", "1", "-f", f}, code: 2, wrong: "the orchestrator's address is needed: -a ADDR (or MDALP_ADDR)\nHELP"},
		{args: []string{"-a", "127.0.0.1", "-f", f}, code: 2, wrong: "the orchestrator's port, 1 to 65535, is needed: -p PORT (or MDALP_PORT)\nHELP"},
		{args: []string{"-a", "127.0.0.1", "-p", "1"}, code: 2, wrong: "the file to send is needed: -f FILE, or -f - for standard input\nHELP"},
		{args: with("-f", ""), code: 2, wrong: "-f: the file's name is empty\nHELP"},
		{args: []string{"-f"}, code: 2, wrong: "-f, --file: a value must follow\nHELP"},
		{args: []string{"--deadline"}, code: 2, wrong: "--deadline: a value must follow\nHELP"},
		{args: []string{"-x"}, code: 2, wrong: "there is no option -x\nHELP"},
		{args: []string{"--nosuch"}, code: 2, wrong: "there is no option --nosuch\nHELP"},
		{args: []string{"--=1"}, code: 2, wrong: "--=1 is no option\nHELP"},
		// Values.
		{args: with("-p", "http"), code: 2, wrong: "-p, --port: \"http\" is no port: it is 1 to 65535\nHELP"},
		{args: with("-p", "65536"), code: 2, wrong: "-p, --port: \"65536\" is no port: it is 1 to 65535\nHELP"},
		{args: with("-p", "0"), code: 2, wrong: "the orchestrator's port, 1 to 65535, is needed: -p PORT (or MDALP_PORT)\nHELP"},
		{args: with("-m", "3"), code: 2, wrong: "-m 3: the mode is 1 (balance the load) or 2 (one receiver)\nHELP"},
		{args: with("-m", "one"), code: 2, wrong: "-m, --mode: \"one\" is no whole number, or too large\nHELP"},
		{args: with("-s", "0"), code: 2, wrong: "-s 0: receivers count from 1\nHELP"},
		{args: with("-s", "x"), code: 2, wrong: "-s, --server: \"x\" is no whole number, or too large\nHELP"},
		{args: with("-m2", "-s3"), code: 2, wrong: "-s 3: receiver 3 of 2 does not exist\nHELP"},
		{args: with("--balance", "fair"), code: 2, wrong: "--balance fair: it is icmp, equal, none or adaptive\nHELP"},
		{args: with("-m2", "--balance", "icmp"), code: 2, wrong: "--balance icmp does not go with -m 2, which sends to one receiver\nHELP"},
		{args: with("--rto", "2s"), code: 2, wrong: "--rto 2s: it is adaptive or fixed\nHELP"},
		{args: with("--max-tries", "0"), code: 2, wrong: "--max-tries 0: at least 1 is needed\nHELP"},
		{args: with("--no-failover=maybe"), code: 2, wrong: "--no-failover: \"maybe\" is neither true nor false\nHELP"},
		{args: with("--deadline", "5 s"), code: 2, wrong: "--deadline: \"5 s\" is no time: it is seconds, or a number and a unit such as 500ms or 2m\nHELP"},
		{args: with("--deadline", "NaN"), code: 2, wrong: "--deadline: \"NaN\" is no time: it is seconds, or a number and a unit such as 500ms or 2m\nHELP"},
		{args: with("--deadline", ""), code: 2, wrong: "--deadline: \"\" is no time: it is seconds, or a number and a unit such as 500ms or 2m\nHELP"},
		{args: with("--json="), code: 2, wrong: "--json: \"\" is neither true nor false\nHELP"},
		{args: with("--deadline", "-1s"), code: 2, wrong: "--deadline -1s: a time may not be negative\nHELP"},
		{args: with("--intent-timeout", "-1"), code: 2, wrong: "--intent-timeout -1s: a time may not be negative\nHELP"},
		{args: with("--intent-retry", "-1ms"), code: 2, wrong: "--intent-retry -1ms: a time may not be negative\nHELP"},
		{args: with("--ping", ""), code: 2, wrong: "--ping \"\": it is raw, dgram, off or auto\nHELP"},
		{args: with("--rto", ""), code: 2, wrong: "--rto \"\": it is adaptive or fixed\nHELP"},
		{args: with("--ping", "icmp"), code: 2, wrong: "--ping icmp: it is raw, dgram, off or auto\nHELP"},
		{args: with("-46"), code: 2, wrong: "-4 and -6 exclude each other\nHELP"},
		{args: with("--progress", "bars"), code: 2, wrong: "--progress bars: it is auto, plain or off\nHELP"},
		{args: with("--progress", ""), code: 2, wrong: "--progress \"\": it is auto, plain or off\nHELP"},
		{args: with("--log-format", ""), code: 2, wrong: "--log-format \"\": it is text, json or original\nHELP"},
		{args: with("--log-format", "xml"), code: 2, wrong: "--log-format xml: it is text, json or original\nHELP"},
		{args: base, env: "MDALP_MAX_TRIES=many", code: 2, wrong: "MDALP_MAX_TRIES: \"many\" is no whole number, or too large\nHELP"},
		{args: base, env: "MDALP_JSON=perhaps", code: 2, wrong: "MDALP_JSON: \"perhaps\" is neither true nor false\nHELP"},
		{args: base, env: "MDALP_BALANCE=fair", code: 2, wrong: "MDALP_BALANCE fair: it is icmp, equal, none or adaptive\nHELP"},
		{args: base, env: "MDALP_MODE=3", code: 2, wrong: "MDALP_MODE 3: the mode is 1 (balance the load) or 2 (one receiver)\nHELP"},
		{args: base, env: "MDALP_PCAP=-", code: 2, wrong: "MDALP_PCAP -: standard output has the summary; name a file\nHELP"},
		{args: with("--balance", "fair"), env: "MDALP_PING=off", code: 2, wrong: "--balance fair: it is icmp, equal, none or adaptive\nHELP"},
		// Files.
		{args: []string{"-a", "127.0.0.1", "-p", "PORT", "DIR/missing"}, code: 4, wrong: "-f DIR/missing: no such file or directory\n"},
		{args: []string{"-a", "127.0.0.1", "-p", "PORT", "-f", "DIR"}, code: 4, wrong: "-f DIR: it is a directory: give a file, or - for standard input\n"},
		{args: []string{"-a", "127.0.0.1", "-p", "PORT", "-f", "DIR/f/f"}, code: 4, wrong: "-f DIR/f/f: not a directory\n"},
		{args: []string{"-a", "127.0.0.1", "-p", "PORT", "-f", "/proc/self/mem"}, code: 4, wrong: "-f /proc/self/mem: input/output error\n"},
		{args: with("--ping", "off", "DIR/missing", "DIR", "DIR/g"), code: 4, wrong: "-f DIR/missing: no such file or directory\nmdalp: -f DIR: it is a directory: give a file, or - for standard input\n"},
		{args: []string{"-a", "127.0.0.1", "-p", "PORT", "-", "-"}, code: 2, wrong: "-f -: standard input can be sent only once\nHELP"},
		{args: []string{"-a", "127.0.0.1", "-p", "PORT", "-f", "no\n\x1b\xff"}, code: 4, wrong: "-f no\\n\\x1b\\xff: no such file or directory\n"},
		{args: with("-q", "no\n"), code: 4, wrong: "-f no\\n: no such file or directory\n"},
		{args: []string{"-a", "127.0.0.1", "-p", "PORT", "-f", strings.Repeat("x", 300)}, code: 4, wrong: "-f " + strings.Repeat("x", 300) + ": file name too long\n"},
		{args: with("--pcap", "-"), code: 2, wrong: "--pcap -: standard output has the summary; name a file\nHELP"},
		{args: with("--pcap", f), code: 2, wrong: "--pcap " + f + ": that is the file to send\nHELP"},
		{args: with("--pcap", "DIR"), code: 4, wrong: "--pcap DIR: is a directory\n"},
		{args: with("--pcap", "DIR/no/x"), code: 4, wrong: "--pcap DIR/no/x: no such file or directory\n"},
		// Addresses.
		{args: with("-a", "256.1.1.1.invalid"), code: 4, wrong: "-a 256.1.1.1.invalid: "},
		{args: with("-a", "::1", "-4"), code: 4, wrong: "-a ::1: ::1 is no IPv4 address\n"},
		{args: with("-a", "0.0.0.0"), code: 4, wrong: "-a 0.0.0.0: it is no address of one host\n"},
		{args: with("-a", "255.255.255.255"), code: 4, wrong: "-a 255.255.255.255: it is no address of one host\n"},
		{args: with("-a", "127.0.0.1:4650"), code: 4, wrong: "-a 127.0.0.1:4650: the port goes behind -p: -a 127.0.0.1 -p 4650\n"},
		{args: with("-a", "[127.0.0.1]:4650"), code: 4, wrong: "-a [127.0.0.1]:4650: the port goes behind -p: -a 127.0.0.1 -p 4650\n"},
		{args: with("-a", "http://127.0.0.1:4650/x"), code: 4, wrong: "-a http://127.0.0.1:4650/x: it is no URL that is wanted: -a 127.0.0.1 -p 4650\n"},
		{args: with("-a", "mdalp://[::1]"), code: 4, wrong: "-a mdalp://[::1]: it is no URL that is wanted: -a ::1\n"},
		{args: with("-a", "[fe80::1]"), code: 4, wrong: "-a [fe80::1]: name the interface too, as in fe80::1%eth0\n"},
		{args: with("-a", "fe80::1"), code: 4, wrong: "-a fe80::1: name the interface too, as in fe80::1%eth0\n"},
		{args: with("-a", "fe80::1%nosuch0"), code: 4, wrong: "-a fe80::1%nosuch0: there is no interface nosuch0\n"},
		{args: with("-a", " \n"), code: 4, wrong: "-a  \\n: no such host\n"},
		{args: with("-a", ""), code: 2, wrong: "the orchestrator's address is needed: -a ADDR (or MDALP_ADDR)\nHELP"},
		{args: with("--bind", "224.0.0.1"), code: 4, wrong: "--bind 224.0.0.1: it is no address of one host\n"},
		{args: with("--bind", "255.255.255.255"), code: 4, wrong: "--bind 255.255.255.255: it is no address of one host\n"},
		{args: with("--bind", "127.0.0.1:5"), code: 4, wrong: "--bind 127.0.0.1:5: it is neither an address nor an interface\n"},
		{args: with("--bind", "nosuch0"), code: 4, wrong: "--bind nosuch0: it is neither an address nor an interface\n"},
		{args: with("--bind", "::1"), code: 4, wrong: "--bind ::1: it is not of the orchestrator's address family\n"},
		{args: with("--bind", "192.0.2.77"), code: 4, wrong: "--bind 192.0.2.77: this host has no such address: bind: cannot assign requested address\n"},
		// The orchestrator.
		{args: base, peer: "closed", code: 3, wrong: "no offer: intent to 127.0.0.1:PORT: connection refused\n"},
		{args: with("--intent-timeout", "20ms"), peer: "-", code: 3, wrong: "no offer: intent to 127.0.0.1:PORT: the orchestrator did not answer in time (20ms)\n"},
		{args: with("--deadline", "20ms"), peer: "-", code: 1, wrong: "incomplete: the deadline passed while waiting\n"},
		{args: base, peer: "Type:1;DATA:[];", code: 3, wrong: "bad offer from 127.0.0.1:PORT: it has no TID\n"},
		{args: base, peer: "Type:1;TID:7;", code: 3, wrong: "bad offer from 127.0.0.1:PORT: it has no DATA\n"},
		{args: base, peer: "Type:1;TID:7;DATA:[];", code: 3, wrong: "bad offer from 127.0.0.1:PORT: none of its 0 receivers can be used\n"},
		{args: base, peer: "Type:1;TID:7;DATA:open('x')", code: 3, wrong: "bad offer from 127.0.0.1:PORT: "},
		// The receivers.
		{args: with("--balance", "equal", "--deadline", "2s", "-q"), deaf: true, code: 1, wrong: "incomplete: 4 of 4 segments are not acknowledged: the deadline passed\n"},
		{args: with("-m2", "--max-tries", "1", "-q"), deaf: true, code: 1, wrong: "incomplete: 3 of 3 segments are not acknowledged: no receiver is left\n"},
	} {
		t.Run(strings.Join(append(c.args, c.env, c.peer), " "), func(t *testing.T) {
			t.Parallel()
			p := newReceivers(t, 2)
			p.say(c.peer)
			port := p.port
			if c.peer == "closed" {
				port = noPort
			}
			if c.deaf {
				p.hold(0, 0)
				p.hold(1, 0)
			}
			fill := strings.NewReplacer("127.0.0.1:PORT", "127.0.0.1:"+port, "DIR", filepath.Clean(dir), "HELP", "Try 'mdalp --help'.\n")
			args := append([]string{}, c.args...)
			for i, a := range args {
				if a == "PORT" {
					args[i] = port
				} else if strings.HasPrefix(a, "DIR") {
					args[i] = fill.Replace(a)
				}
			}
			_, errs, code := command(t, c.env, args...)
			want := fill.Replace("mdalp: " + c.wrong)
			// Only what comes from the resolver, or the parser, may differ at its end.
			if whole := strings.HasSuffix(want, "\n"); code != c.code || whole && errs != want || !strings.HasPrefix(errs, want) || strings.Contains(errs, "Usage") {
				t.Errorf("exit code %d instead of %d:\n%swant\n%s", code, c.code, errs, want)
			}
		})
	}
}
