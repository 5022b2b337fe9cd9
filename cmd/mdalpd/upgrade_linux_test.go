package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// passing makes a command of cmd with these sockets passed, as systemd does it
// (sd_listen_fds(3)). A shell becomes the program, as its process must be named before it runs.
func passing(cmd *exec.Cmd, files ...*os.File) *exec.Cmd {
	sh := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, cmd.Args...)...)
	sh.Env = append(cmd.Environ(), fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+strings.Repeat(":test", len(files))[1:])
	sh.ExtraFiles = files
	return sh
}

// udp opens a socket for somebody else, as the file that is passed.
func udp(t *testing.T, a string) *os.File {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(a)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// snmp gives a counter of this namespace (/proc/net/snmp).
func snmp(t *testing.T, protocol, name string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case f[0] != protocol+":":
		case names == nil:
			names = f
		default:
			for i := range names {
				if names[i] == name {
					n, err := strconv.Atoi(f[i])
					if err != nil {
						t.Fatal(err)
					}
					return n
				}
			}
		}
	}
	t.Fatalf("there is no %s of %s", name, protocol)
	return 0
}

// A server whose sockets are passed to the next one loses nothing: transfers in mid-flight go
// on, who asks while there is no server is answered by the next, no datagram is refused, and
// the kernel drops none.
func TestUpgrade(t *testing.T) {
	t.Parallel() // it mostly waits
	isolated(t, func(t *testing.T) {
		p := hosts(t)
		p.ip(t, "addr add 10.7.0.1/24 dev c0")
		ip(t, "addr add 10.7.0.10/24 dev "+p.link)
		socks := []*os.File{udp(t, "10.7.0.9:4650"), udp(t, "10.7.0.10:4650")}
		for _, kind := range []string{"base", "extended"} {
			upgrade(t, p, kind, socks)
		}
		for _, c := range [][2]string{{"Icmp", "OutDestUnreachs"}, {"Udp", "NoPorts"}, {"Udp", "RcvbufErrors"}, {"Udp", "InErrors"}} {
			if n := snmp(t, c[0], c[1]); n != 0 {
				t.Errorf("%s of %s: %d", c[1], c[0], n)
			}
		}
		// The counters are those of what happened here.
		if n := snmp(t, "Udp", "InDatagrams"); n < 1000 {
			t.Errorf("%d datagrams came", n)
		}
	})
}

// upgrade ends and starts the server twice while it gets a payload.
func upgrade(t *testing.T, p *pair, kind string, socks []*os.File) {
	t.Helper()
	store, file, payload := t.TempDir(), filepath.Join(t.TempDir(), "f"), make([]byte, 8_000_000)
	rand.NewChaCha8([32]byte{1}).Read(payload)
	if err := os.WriteFile(file, payload, 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func() *running {
		return launch(t, passing(command(t, "--listen", "10.7.0.9", "--receivers", "10.7.0.9,10.7.0.10", "--store", store, "--expect", file),
			socks...), false, "msg=listening ")
	}
	how := map[string]string{"base": "--base", "extended": "--rate=20M"}[kind]
	d := serve()
	c := launch(t, p.there(p.program, "-a", "10.7.0.9", "-p", "4650", "-f", file, how, "--json-stream"), true, `"acknowledged_bytes":[1-9]`)
	for k := range 2 {
		began := time.Now()
		code, said := d.end(unix.SIGTERM)
		if code != 0 || k == 0 && !strings.Contains(said, "the next start goes on with it") {
			t.Errorf("%s: the server ends with %d: %s", kind, code, said)
		}
		other, err := net.ListenUDP("udp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, err := other.WriteToUDPAddrPort([]byte("Type:0;"), netip.MustParseAddrPort("10.7.0.9:4650")); err != nil {
			t.Fatal(err)
		}
		d = serve()
		t.Logf("%s: there was no server for at most %v", kind, time.Since(began))
		if answer, _ := answered(t, other); !strings.HasPrefix(answer, "Type:1;TID:") {
			t.Errorf("%s: who asked while there was no server got %q", kind, answer)
		}
	}
	if code, said := c.end(0); code != 0 {
		t.Errorf("%s: the client ends with %d: %s", kind, code, said)
	}
	if !d.says("status=true") {
		t.Errorf("%s: the last server has no verdict", kind)
	}
	if code, said := d.end(unix.SIGTERM); code != 0 {
		t.Errorf("%s: the last server ends with %d: %s", kind, code, said)
	}
	whole(t, store, payload)
}

// Clients that have sent nothing yet are served by the next server: one with an offer, and one
// whose turn has not come. Neither asks again.
func TestUpgradeOfWaiting(t *testing.T) {
	t.Parallel()
	isolated(t, func(t *testing.T) {
		sock, store := udp(t, "127.0.0.1:4650"), t.TempDir()
		serve := func(most string) *running {
			return launch(t, passing(command(t, "--listen", "127.0.0.1", "--store", store, "--concurrent", most, "--source-concurrent", most,
				"--first-tid", "7"), sock), false, "msg=listening ")
		}
		var clients [2]*net.UDPConn
		for i := range clients {
			c, err := net.ListenUDP("udp4", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			clients[i] = c
		}
		d := serve("1")
		if got, _ := ask(t, clients[0], "127.0.0.1:4650", "Type:0;"); !strings.HasPrefix(got, "Type:1;TID:7;") {
			t.Errorf("%q", got)
		}
		if _, err := clients[1].WriteToUDPAddrPort([]byte("Type:0;"), netip.MustParseAddrPort("127.0.0.1:4650")); err != nil {
			t.Fatal(err)
		}
		if !d.says("waiting=1\n") {
			t.Error("the second is not said to wait")
		}
		d.end(unix.SIGTERM)
		d = serve("2")
		if got, _ := answered(t, clients[1]); !strings.HasPrefix(got, "Type:1;TID:8;") {
			t.Errorf("the one who waited got %q", got)
		}
		if got, _ := ask(t, clients[0], "127.0.0.1:4650", "Type:2;TID:7;SEQ:0;DATA:x"); got != "Type:3;TID:7;SEQ:0;" {
			t.Errorf("the one with an offer got %q", got)
		}
		if code, said := d.end(unix.SIGTERM); code != 0 || !strings.Contains(said, `msg="clients of the last run are served" offers=1 intents=1`) {
			t.Errorf("%d: %s", code, said)
		}
		// What it left is there for the next, and what cannot be read is told.
		name := filepath.Join(store, handoverName)
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		code, said := serve("2").end(unix.SIGTERM)
		if code != 0 || !strings.Contains(said, `level=WARN msg="clients that the last run left cannot be read" err="unexpected end of JSON input"`) {
			t.Errorf("%d: %s", code, said)
		}
	})
}
