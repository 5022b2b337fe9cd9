package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Descriptors that are no sockets for what was asked for end a start with one line.
func TestStrangeSockets(t *testing.T) {
	t.Parallel()
	isolated(t, strangeSockets)
}

func strangeSockets(t *testing.T) {
	raw := func(family, typ int, a unix.Sockaddr, opts ...int) *os.File {
		fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, 0)
		for i := 0; i < len(opts) && err == nil; i += 2 {
			err = unix.SetsockoptInt(fd, opts[i], opts[i+1], 1)
		}
		if err == nil && a != nil {
			err = unix.Bind(fd, a)
		}
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "socket")
		t.Cleanup(func() { f.Close() })
		return f
	}
	port := func(n int) *unix.SockaddrInet4 { return &unix.SockaddrInet4{Port: n, Addr: [4]byte{127, 0, 0, 1}} }
	plain, err := os.Open("/proc/version")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	peer := raw(unix.AF_INET, unix.SOCK_DGRAM, port(4660))
	if err := unix.Connect(int(peer.Fd()), port(9)); err != nil {
		t.Fatal(err)
	}
	const pass = ": pass UDP sockets alone, each bound to an address"
	shared := []int{unix.SOL_SOCKET, unix.SO_REUSEPORT}
	for _, c := range []struct {
		name  string
		files []*os.File
		args  string
		want  string
	}{
		{"file", []*os.File{plain}, "", "descriptor 3 (test) cannot be used: it is no socket" + pass},
		{"tcp", []*os.File{raw(unix.AF_INET, unix.SOCK_STREAM, port(4661))}, "", "descriptor 3 (test) cannot be used: it is no UDP socket" + pass},
		{"unix", []*os.File{raw(unix.AF_UNIX, unix.SOCK_DGRAM, nil)}, "", "descriptor 3 (test) cannot be used: it is no UDP socket" + pass},
		{"unbound", []*os.File{raw(unix.AF_INET, unix.SOCK_DGRAM, nil)}, "", "descriptor 3 (test) cannot be used: it is bound to no port" + pass},
		{"connected", []*os.File{peer}, "", "descriptor 3 (test) cannot be used: it is connected to one peer" + pass},
		{"v6only", []*os.File{raw(unix.AF_INET6, unix.SOCK_DGRAM, &unix.SockaddrInet6{Port: 4662}, unix.SOL_IPV6, unix.IPV6_V6ONLY)}, "",
			"descriptor 3 (test) cannot be used: it takes IPv6 alone, where both are meant (systemd's BindIPv6Only=both)" + pass},
		{"second", []*os.File{udp(t, "127.0.0.1:4663"), plain}, "", "descriptor 4 (test) cannot be used: it is no socket" + pass},
		{"twice", []*os.File{raw(unix.AF_INET, unix.SOCK_DGRAM, port(4664), shared...), raw(unix.AF_INET, unix.SOCK_DGRAM, port(4664), shared...)},
			"--listen 127.0.0.1:4664", "descriptor 4 (test) listens on 127.0.0.1:4664, as descriptor 3 (test) does: pass each socket once"},
		{"other port", []*os.File{udp(t, "127.0.0.1:4665")}, "--listen 127.0.0.1:4666",
			"descriptor 3 (test) listens on 127.0.0.1:4665, which is neither --listen nor one of --receivers: make them agree"},
		{"one more", []*os.File{udp(t, "127.0.0.1:4667"), udp(t, "127.0.0.2:4667")}, "--listen 127.0.0.1:4667",
			"descriptor 4 (test) listens on 127.0.0.2:4667, which is neither --listen nor one of --receivers: make them agree"},
	} {
		store := filepath.Join(t.TempDir(), "store")
		cmd := passing(command(t, append(strings.Fields(c.args), "--store", store)...), c.files...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitSystem || string(out) != "mdalpd: "+c.want+"\n" {
			t.Errorf("%s: %v: %s", c.name, err, out)
		}
		if _, err := os.Stat(store); err == nil {
			t.Errorf("%s: the store was made", c.name)
		}
	}
}

// What says that it is for this process, and cannot be, is refused; what is for another process
// is nobody's business.
func TestStrangeVariables(t *testing.T) {
	t.Parallel()
	isolated(t, func(t *testing.T) {
		plain, err := os.Open("/proc/version")
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		many := passing(command(t), plain)
		many.Env = append(many.Env, "LISTEN_FDS=2000000000")
		if out, err := many.CombinedOutput(); err == nil || string(out) != "mdalpd: LISTEN_FDS 2000000000: that many sockets cannot be passed\n" {
			t.Errorf("%v: %s", err, out)
		}
		other := command(t, "--listen", "127.0.0.1:4668")
		other.Env = append(other.Env, "LISTEN_PID=1", "LISTEN_FDS=1")
		d := launch(t, other, false, "msg=listening ")
		if code, said := d.end(syscall.SIGTERM); code != 0 || !regexp.MustCompile(`msg=stopped\n$`).MatchString(said) {
			t.Errorf("%d: %s", code, said)
		}
	})
}

// A socket that is passed takes the place of one that would be opened, also where the wildcard
// address would do; its buffer does not become smaller. A drain is the next process's.
func TestPassedSockets(t *testing.T) {
	t.Parallel()
	isolated(t, func(t *testing.T) {
		all, one := udp(t, "[::]:4650"), udp(t, "127.0.0.1:4651")
		d := launch(t, passing(command(t, "--receivers", "127.0.0.1,127.0.0.1:4651,127.0.0.2:4652", "--drain", "1h"), all, one), false, "msg=listening ")
		c, err := net.ListenUDP("udp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		answer, _ := ask(t, c, "127.0.0.1:4650", "Type:0;")
		tid := regexp.MustCompile(`TID:\d+;`).FindString(answer)
		for _, to := range []string{"127.0.0.1:4650", "127.0.0.1:4651", "127.0.0.2:4652"} {
			if got, from := ask(t, c, to, "Type:2;"+tid+"SEQ:0;DATA:x"); got != "Type:3;"+tid+"SEQ:0;" || from.String() != to {
				t.Errorf("%s: %q from %v", to, got, from)
			}
		}
		code, said := d.end(syscall.SIGTERM)
		if code != 0 || !strings.Contains(said, `msg="there is no --drain: `) || !strings.Contains(said, `not all sockets are passed on`) {
			t.Errorf("%d: %s", code, said)
		}
	})
}
