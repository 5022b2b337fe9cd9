package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mdalp/cmd/internal/script"
)

// TestMessages lists what a user can do wrong with mdalpd, or what can go wrong for him:
// all that is then on standard error, and the exit code. A message says what was wrong,
// where, and what would be right. HELP stands for the line that follows an error of the
// command line, DIR for a folder, TAKEN and TCP for ports that another program has, MANY for more
// receivers than an offer can name.
func TestMessages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.LocalAddr().(*net.UDPAddr).Port)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tcp := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	long := strings.Repeat("x", 300)
	many := make([]string, 3000)
	for i := range many {
		many[i] = "127.0.0.1:" + strconv.Itoa(i+1)
	}
	fill := strings.NewReplacer("DIR", dir, "TAKEN", port, "TCP", tcp, "LONG", long, "HELP", "Try 'mdalpd --help'.\n", "MANY", strings.Join(many, ","))
	for _, c := range []struct {
		args  []string
		code  int
		wrong string
	}{
		// The command line as such.
		{[]string{"x"}, 2, "unexpected argument \"x\"\nHELP"},
		{[]string{""}, 2, "unexpected argument \"\"\nHELP"},
		{[]string{"a\nb"}, 2, "unexpected argument \"a\\nb\"\nHELP"},
		{[]string{"-x"}, 2, "there is no option -x\nHELP"},
		{[]string{"--nosuch"}, 2, "there is no option --nosuch\nHELP"},
		{[]string{"--LONG"}, 2, "there is no option --LONG\nHELP"},
		{[]string{"--=1"}, 2, "--=1 is no option\nHELP"},
		{[]string{"--store"}, 2, "--store: a value must follow\nHELP"},
		{[]string{"--verbose=x"}, 2, "-v, --verbose: \"x\" is neither true nor false\nHELP"},
		{[]string{"--keep-partial=x"}, 2, "--keep-partial: \"x\" is neither true nor false\nHELP"},
		{[]string{"help", "nosuch"}, 2, "there is no command \"nosuch\": see mdalpd help\nHELP"},
		{[]string{"man", "a", "b"}, 2, "unexpected argument \"b\"\nHELP"},
		{[]string{"man", ""}, 2, "the folder's name is empty\nHELP"},
		{[]string{"man", "DIR/file"}, 4, "DIR/file: not a directory\n"},
		{[]string{"completion"}, 2, "name one shell: bash, zsh, fish or powershell\nHELP"},
		{[]string{"completion", "tcsh"}, 2, "there is no completion for \"tcsh\": it is bash, zsh, fish or powershell\nHELP"},
		// Addresses.
		{[]string{"--listen", ""}, 2, "--listen \"\": it is ADDR or ADDR:PORT\nHELP"},
		{[]string{"--listen", "localhost"}, 2, "--listen localhost: it is ADDR or ADDR:PORT\nHELP"},
		{[]string{"--listen", "localhost:4650"}, 2, "--listen localhost:4650: \"localhost\" is no address\nHELP"},
		{[]string{"--listen", "a\nb"}, 2, "--listen a\\nb: it is ADDR or ADDR:PORT\nHELP"},
		{[]string{"--listen", "[::1"}, 2, "--listen [::1: it is ADDR or ADDR:PORT\nHELP"},
		{[]string{"--listen", ":"}, 2, "--listen :: port \"\": it is 1 to 65535\nHELP"},
		{[]string{"--listen", ":0"}, 2, "--listen :0: port \"0\": it is 1 to 65535\nHELP"},
		{[]string{"--listen", "127.0.0.1:-1"}, 2, "--listen 127.0.0.1:-1: port \"-1\": it is 1 to 65535\nHELP"},
		{[]string{"--listen", "127.0.0.1:70000"}, 2, "--listen 127.0.0.1:70000: port \"70000\": it is 1 to 65535\nHELP"},
		{[]string{"--listen", "127.0.0.1:http"}, 2, "--listen 127.0.0.1:http: port \"http\": it is 1 to 65535\nHELP"},
		{[]string{"--listen", "224.0.0.1"}, 2, "--listen 224.0.0.1: it is no address of this host\nHELP"},
		{[]string{"--listen", "255.255.255.255:9"}, 2, "--listen 255.255.255.255:9: it is no address of this host\nHELP"},
		{[]string{"--listen", "fe80::1%lo"}, 2, "--listen fe80::1%lo: clients cannot use an address with a zone: give others by --receivers\nHELP"},
		{[]string{"--receivers", ","}, 2, "--receivers \"\": it is ADDR or ADDR:PORT\nHELP"},
		{[]string{"--receivers", "127.0.0.1,host"}, 2, "--receivers host: it is ADDR or ADDR:PORT\nHELP"},
		{[]string{"--receivers", "127.0.0.1:0"}, 2, "--receivers 127.0.0.1:0: port \"0\": it is 1 to 65535\nHELP"},
		{[]string{"--receivers", "0.0.0.0"}, 2, "--receivers 0.0.0.0: give an address that clients can send to\nHELP"},
		{[]string{"--receivers", "ff02::1"}, 2, "--receivers ff02::1: give an address that clients can send to\nHELP"},
		{[]string{"--receivers", "255.255.255.255"}, 2, "--receivers 255.255.255.255: give an address that clients can send to\nHELP"},
		{[]string{"--receivers", "fe80::1%lo"}, 2, "--receivers fe80::1%lo: clients cannot use a link-local address: give another one\nHELP"},
		{[]string{"--receivers", "[fe80::1]:9"}, 2, "--receivers [fe80::1]:9: clients cannot use a link-local address: give another one\nHELP"},
		{[]string{"--receivers", "fe80::1%nosuch"}, 2, "--receivers fe80::1%nosuch: this host has no interface \"nosuch\"\nHELP"},
		{[]string{"--receivers", "::1%lo"}, 2, "--receivers ::1%lo: only a link-local address has an interface behind it\nHELP"},
		{[]string{"--listen", "fe80::1"}, 2, "--listen fe80::1: a link-local address needs its interface, as in fe80::1%eth0\nHELP"},
		{[]string{"--listen", "[fe80::1%nosuch]:9"}, 2, "--listen [fe80::1%nosuch]:9: this host has no interface \"nosuch\"\nHELP"},
		{[]string{"--listen", "fe80::1%9999999"}, 2, "--listen fe80::1%9999999: this host has no interface \"9999999\"\nHELP"},
		{[]string{"--receivers", "127.0.0.1,127.0.0.1:4650"}, 2, "--receivers: receiver 127.0.0.1:4650 is given twice\nHELP"},
		{[]string{"--receivers", "MANY"}, 2, "--receivers: an offer of 3000 receivers has 127930 bytes, more than a datagram\nHELP"},
		{[]string{"--receivers", "127.0.0.1", "--names", "a,b"}, 2, "--names: 2 names for 1 receivers\nHELP"},
		// Numbers and times.
		{[]string{"--limit", "90 s"}, 2, "--limit: \"90 s\" is no time: it is seconds, or a number and a unit such as 500ms or 2m\nHELP"},
		{[]string{"--limit", "-1s"}, 2, "--limit -1s: it may not be negative\nHELP"},
		{[]string{"--idle", "-1ms"}, 2, "--idle -1ms: it may not be negative\nHELP"},
		{[]string{"--offer-delay", "-1s"}, 2, "--offer-delay -1s: it may not be negative\nHELP"},
		{[]string{"--store-bytes", "1 G"}, 2, "--store-bytes: \"1 G\" is no size: it is bytes, or a number and K, M, G or T, of 1,024 each\nHELP"},
		{[]string{"--reserve", "-1"}, 2, "--reserve: \"-1\" is no size: it is bytes, or a number and K, M, G or T, of 1,024 each\nHELP"},
		{[]string{"--keep-bytes", ""}, 2, "--keep-bytes: \"\" is no size: it is bytes, or a number and K, M, G or T, of 1,024 each\nHELP"},
		{[]string{"--source-bytes", "9999999T"}, 2, "--source-bytes: \"9999999T\" is no size: it is bytes, or a number and K, M, G or T, of 1,024 each\nHELP"},
		{[]string{"--offer-rate", "K"}, 2, "--offer-rate: \"K\" is no size: it is bytes, or a number and K, M, G or T, of 1,024 each\nHELP"},
		{[]string{"--keep", "-1s"}, 2, "--keep -1s: it may not be negative\nHELP"},
		{[]string{"--source-concurrent", "-1"}, 2, "--source-concurrent -1: it may not be negative\nHELP"},
		{[]string{"--drain", "-1s"}, 2, "--drain -1s: it may not be negative\nHELP"},
		{[]string{"--concurrent", "-1"}, 2, "--concurrent -1: it may not be negative\nHELP"},
		{[]string{"--concurrent", "9999999999999"}, 2, "--concurrent 9999999999999: it is 1000000 at most\nHELP"},
		{[]string{"--concurrent", "99999999999999999999"}, 2, "--concurrent: \"99999999999999999999\" is no whole number, or too large\nHELP"},
		{[]string{"--queue", "x"}, 2, "--queue: \"x\" is no whole number, or too large\nHELP"},
		{[]string{"--queue", "-5"}, 2, "--queue -5: it may not be negative\nHELP"},
		{[]string{"--concurrent", "0"}, 2, "--concurrent 0: it must be more than 0\nHELP"},
		{[]string{"--limit", "0"}, 2, "--limit 0s: it must be more than 0\nHELP"},
		{[]string{"--idle", "0"}, 2, "--idle 0s: it must be more than 0\nHELP"},
		{[]string{"--max-bytes", "0"}, 2, "--max-bytes 0: it must be more than 0\nHELP"},
		{[]string{"--intent-rate", "0"}, 2, "--intent-rate 0: it is a number of intents a second, negative for any\nHELP"},
		{[]string{"--queue", "1000001"}, 2, "--queue 1000001: it is 1000000 at most\nHELP"},
		{[]string{"--max-bytes", "-1"}, 2, "--max-bytes -1: it may not be negative\nHELP"},
		{[]string{"--max-bytes", "70368744177665"}, 2, "--max-bytes 70368744177665: it is 70368744177664 at most\nHELP"},
		{[]string{"--first-tid", "-1"}, 2, "--first-tid -1: it may not be negative\nHELP"},
		{[]string{"--intent-rate", "fast"}, 2, "--intent-rate: \"fast\" is no number\nHELP"},
		{[]string{"--intent-rate", "NaN"}, 2, "--intent-rate NaN: it is a number of intents a second, negative for any\nHELP"},
		{[]string{"--intent-rate", "Inf"}, 2, "--intent-rate +Inf: it is a number of intents a second, negative for any\nHELP"},
		// The status page.
		{[]string{"--http", "host:80"}, 2, "--http host:80: \"host\" is no address\nHELP"},
		{[]string{"--http", "8650"}, 2, "--http 8650: it is ADDR:PORT or unix:PATH\nHELP"},
		{[]string{"--http", "a\nb"}, 2, "--http a\\nb: it is ADDR:PORT or unix:PATH\nHELP"},
		{[]string{"--http", "127.0.0.1:0"}, 2, "--http 127.0.0.1:0: port \"0\": it is 1 to 65535\nHELP"},
		{[]string{"--http", "127.0.0.1:http"}, 2, "--http 127.0.0.1:http: port \"http\": it is 1 to 65535\nHELP"},
		{[]string{"--http", "127.0.0.1:70000"}, 2, "--http 127.0.0.1:70000: port \"70000\": it is 1 to 65535\nHELP"},
		{[]string{"--http", "unix:"}, 2, "--http unix: the path of the socket is missing\nHELP"},
		{[]string{"--http", "127.0.0.1:1", "--http-host", "a:1"}, 2, "--http-host a:1: give a name or an address, without a port\nHELP"},
		{[]string{"--http", "127.0.0.1:1", "--http-host", "http://a"}, 2, "--http-host http://a: give a name or an address, without a port\nHELP"},
		{[]string{"--http-host", "a"}, 2, "--http-host: there is no status page without --http\nHELP"},
		{[]string{"--http-pprof"}, 2, "--http-pprof: there is no status page without --http\nHELP"},
		{[]string{"--listen", "127.0.0.2:TAKEN", "--http", "127.0.0.1:TCP"}, 4, "--http 127.0.0.1:TCP: bind: address already in use: another program has the port, choose another one\n"},
		{[]string{"--listen", "127.0.0.2:TAKEN", "--http", "192.0.2.77:TCP"}, 4, "--http 192.0.2.77:TCP: bind: cannot assign requested address: this host has no such address\n"},
		{[]string{"--listen", "127.0.0.2:TAKEN", "--http", "unix:DIR/file"}, 4, "--http unix:DIR/file: there is a file of that name that is no socket\n"},
		{[]string{"--listen", "127.0.0.2:TAKEN", "--http", "unix:DIR/missing/sock"}, 4, "--http unix:DIR/missing/sock: bind: no such file or directory\n"},
		{[]string{"--listen", "127.0.0.2:TAKEN", "--http", "unix:/LONG"}, 4, "--http unix:/LONG: a path of 301 bytes: 107 are the most for a Unix socket\n"},
		// Files.
		{[]string{"--expect", "DIR/missing"}, 4, "--expect DIR/missing: no such file or directory\n"},
		{[]string{"--expect", "DIR"}, 4, "--expect DIR: it is a directory: give the payload\n"},
		{[]string{"--expect", "LONG"}, 4, "--expect LONG: file name too long\n"},
		{[]string{"--expect", "a\x1b\xff"}, 4, "--expect a\\x1b\\xff: no such file or directory\n"},
		{[]string{"--listen", "127.0.0.2:TAKEN", "--store", "DIR/file"}, 4, "--store DIR/file: the directory cannot be made or written: not a directory\n"},
		{[]string{"--listen", "127.0.0.2:TAKEN", "--store", "DIR/file/x"}, 4, "--store DIR/file/x: the directory cannot be made or written: not a directory\n"},
		{[]string{"--listen", "127.0.0.2:TAKEN", "--store", "/proc/nosuch"}, 4, "--store /proc/nosuch: the directory cannot be made or written: no such file or directory\n"},
		// The system. What needs another user is in the scripts.
		{[]string{"--listen", "127.0.0.1:TAKEN"}, 4, "--listen 127.0.0.1:TAKEN: bind: address already in use: another program has the port, choose another one\n"},
		{[]string{"--listen", "127.0.0.2:TAKEN", "--receivers", "127.0.0.2:TAKEN,127.0.0.1:TAKEN"}, 4, "--receivers 127.0.0.1:TAKEN: bind: address already in use: another program has the port, choose another one\n"},
		{[]string{"--listen", "192.0.2.77:TAKEN"}, 4, "--listen 192.0.2.77:TAKEN: bind: cannot assign requested address: this host has no such address\n"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			var args []string
			for _, a := range c.args {
				args = append(args, fill.Replace(a))
			}
			out, errs, code := script.Command(t, "mdalpd", args...)
			if want := fill.Replace("mdalpd: " + c.wrong); code != c.code || errs != want || out != "" {
				t.Errorf("exit code %d instead of %d:\n%s%swant\n%s", code, c.code, out, errs, want)
			}
		})
	}
}
