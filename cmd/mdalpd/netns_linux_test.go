package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/internal/need"
)

// patience bounds every wait. It is far more than anything takes.
const patience = 60 * time.Second

// isolated runs f in a network namespace of its own, with a loopback interface that is
// up: the test runs again, alone, in a child process. All ports are free there, nobody
// else sends, and addresses are as a test wants them.
func isolated(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(mark) != "" {
		ip(t, "link set lo up")
		f(t)
		return
	}
	if os.Geteuid() != 0 {
		need.Skip(t, errors.New("a network namespace needs root"))
	}
	if _, err := exec.LookPath("ip"); err != nil {
		need.Skip(t, err)
	}
	program, err := exec.LookPath("mdalpd")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.count=1", "-test.parallel=12", "-test.run=^"+t.Name()+"$", "-kills="+strconv.Itoa(*kills),
		"-cuts="+strconv.Itoa(*cuts), "-cutseed="+strconv.FormatUint(*cutSeed, 10))
	cmd.Env = append(os.Environ(), mark+"="+program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch exit := (*exec.ExitError)(nil); {
	case errors.As(err, &exit):
		t.Errorf("in the namespace: %v\n%s", err, out)
	case err != nil:
		need.Skip(t, err)
	case bytes.Contains(out, []byte("--- SKIP")):
		need.Skip(t, errors.New(string(out)))
	default:
		t.Logf("in the namespace:\n%s", out)
	}
}

// ip runs ip(8).
func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// veth makes an interface of that name, and another one at its other end, both up.
func veth(t *testing.T, name, address string) {
	t.Helper()
	ip(t, "link add "+name+" type veth peer name "+name+"x")
	ip(t, "link set "+name+"x up")
	ip(t, "addr add "+address+" brd + dev "+name)
	ip(t, "link set "+name+" up")
}

// serve starts mdalpd and gives its line that says that it listens. It is ended with the
// test.
func serve(t *testing.T, args ...string) string {
	t.Helper()
	cmd := command(t, args...)
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(errs)
	line, err := lines.ReadString('\n')
	t.Cleanup(func() {
		// The second does not let it wait for the silence of what came.
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Process.Signal(unix.SIGINT)
		rest, _ := io.ReadAll(lines)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s%s", err, line, rest)
		}
	})
	if err != nil || !strings.Contains(line, "msg=listening ") {
		t.Fatalf("%v: %s", err, line)
	}
	return line
}

func command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Getenv(mark), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MDALPD_") })
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// ask sends a text and gives the answer, and where that came from.
func ask(t *testing.T, c *net.UDPConn, to, text string) (answer string, from netip.AddrPort) {
	t.Helper()
	for began := time.Now(); ; {
		if _, err := c.WriteToUDPAddrPort([]byte(text), netip.MustParseAddrPort(to)); err != nil {
			t.Fatal(err)
		}
		// It may have come before somebody listened, or be lost where others flood the machine.
		answer, from, err := within(c, patience/6)
		if err == nil {
			return answer, from
		}
		if time.Since(began) > patience {
			t.Fatal(err)
		}
	}
}

// answered waits for a datagram.
func answered(t *testing.T, c *net.UDPConn) (answer string, from netip.AddrPort) {
	t.Helper()
	answer, from, err := within(c, patience)
	if err != nil {
		t.Fatal(err)
	}
	return answer, from
}

// within is a datagram that comes in time.
func within(c *net.UDPConn, most time.Duration) (answer string, from netip.AddrPort, err error) {
	if err := c.SetReadDeadline(time.Now().Add(most)); err != nil {
		return "", from, err
	}
	b := make([]byte, 2048)
	n, from, err := c.ReadFromUDPAddrPort(b)
	return string(b[:n]), from, err
}

func client(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// bound gives the addresses that UDP sockets of this namespace are bound to, as the
// kernel lists them (proc(5), /proc/net/udp).
func bound(t *testing.T) (all []string) {
	t.Helper()
	for _, file := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) `).FindAllStringSubmatch(string(b), -1) {
			raw, err := hex.DecodeString(m[1])
			if err != nil {
				t.Fatal(err)
			}
			// Words in the order of this machine's bytes; all that this runs on are little-endian.
			for i := 0; i < len(raw); i += 4 {
				slices.Reverse(raw[i : i+4])
			}
			a, _ := netip.AddrFromSlice(raw)
			port, _ := strconv.ParseUint(m[2], 16, 16)
			all = append(all, netip.AddrPortFrom(a, uint16(port)).String())
		}
	}
	slices.Sort(all)
	return all
}

// It listens on what was named, and nowhere else.
func TestListensThere(t *testing.T) {
	isolated(t, func(t *testing.T) {
		veth(t, "e0", "10.7.0.9/24")
		ip(t, "addr add 10.7.0.21/24 dev e0")
		ip(t, "addr add fd00:9::9/64 dev e0 nodad")
		ip(t, "addr add fe80::9/64 dev e0 nodad")
		many := make([]string, 300)
		for i := range many {
			many[i] = fmt.Sprintf("127.0.%d.%d", 1+i/200, 1+i%200)
		}
		for _, c := range []struct{ listen, receivers, want string }{
			{"127.0.0.1", "", "127.0.0.1:4650"},
			{"127.0.0.1:4702", "127.0.0.1:4702", "127.0.0.1:4702"},
			{"127.0.0.1:4702", "127.0.0.1", "127.0.0.1:4650 127.0.0.1:4702"},
			{"127.0.0.1", "127.0.0.1,10.7.0.21", "10.7.0.21:4650 127.0.0.1:4650"},
			{"127.0.0.1", "127.0.0.2,127.0.0.3:9,[::1]:4650", "127.0.0.1:4650 127.0.0.2:4650 127.0.0.3:9 [::1]:4650"},
			{"10.7.0.9", "10.7.0.21", "10.7.0.21:4650 10.7.0.9:4650"},
			{"[::1]:4702", "fd00:9::9", "[::1]:4702 [fd00:9::9]:4650"},
			{"fe80::9%e0", "fd00:9::9", "[fd00:9::9]:4650 [fe80::9]:4650"},
			{"0.0.0.0", "10.7.0.9,10.7.0.21,[fd00:9::9]:4650", "0.0.0.0:4650 [fd00:9::9]:4650"},
			{"0.0.0.0", "10.7.0.9,10.7.0.21:9", "0.0.0.0:4650 10.7.0.21:9"},
			{":4650", "10.7.0.9,10.7.0.21,fd00:9::9", "[::]:4650"},
			{":4650", strings.Join(many, ","), "[::]:4650"},
		} {
			t.Run(c.listen+" "+c.want, func(t *testing.T) {
				args := []string{"--listen", c.listen}
				if c.receivers != "" {
					args = append(args, "--receivers", c.receivers)
				}
				serve(t, args...)
				if got := strings.Join(bound(t), " "); got != c.want {
					t.Errorf("it listens on %s, not on %s", got, c.want)
				}
			})
		}
	})
}

// A receiver with a socket of its own acknowledges from its own address.
func TestAnswersFromThere(t *testing.T) {
	isolated(t, func(t *testing.T) {
		c := client(t)
		for _, listen := range []string{"127.0.0.1:4650", "0.0.0.0:4650", ":4650"} {
			t.Run(listen, func(t *testing.T) {
				serve(t, "--listen", listen, "--receivers", "127.0.0.2,127.0.0.3:9", "--first-tid", "1")
				for _, x := range []struct{ to, text, want string }{
					{"127.0.0.1:4650", "Type:0;", "Type:1;TID:1;"},
					{"127.0.0.2:4650", "Type:2;TID:1;SEQ:0;DATA:x", "Type:3;TID:1;SEQ:0;"},
					{"127.0.0.3:9", "Type:2;TID:1;SEQ:1;DATA:y", "Type:3;TID:1;SEQ:1;"},
				} {
					if got, from := ask(t, c, x.to, x.text); from.String() != x.to || !strings.HasPrefix(got, x.want) {
						t.Errorf("%s to %s: %v says %q", x.text, x.to, from, got)
					}
				}
			})
		}
	})
}

// What is asked by a broadcast address is answered from the interface's own.
func TestBroadcast(t *testing.T) {
	isolated(t, func(t *testing.T) {
		veth(t, "e0", "10.7.0.9/24")
		c := client(t)
		for _, listen := range []string{":4650", "0.0.0.0:4650"} {
			t.Run(listen, func(t *testing.T) {
				serve(t, "--listen", listen, "--intent-rate", "-1")
				for _, to := range []string{"10.7.0.255:4650", "10.7.0.9:4650"} {
					if got, from := ask(t, c, to, "Type:0;"); from.String() != "10.7.0.9:4650" || !strings.HasPrefix(got, "Type:1;") {
						t.Errorf("asked by %s, %v says %q", to, from, got)
					}
				}
			})
		}
		for _, args := range [][]string{{"--listen", "10.7.0.255"}, {"--receivers", "10.7.0.255"}} {
			out, err := command(t, args...).CombinedOutput()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != exitSystem || !bytes.Contains(out, []byte("10.7.0.255:4650: it is ")) {
				t.Errorf("%v: %v, %s", args, err, out)
			}
		}
	})
}

// Without --receivers it offers the address that the default route leaves from. Where
// there is none, that of an interface that may lead somewhere, or loopback.
func TestOffered(t *testing.T) {
	isolated(t, func(t *testing.T) {
		offers := func(want string) {
			t.Helper()
			for _, listen := range []string{":4650", "0.0.0.0:4650"} {
				t.Run(listen, func(t *testing.T) {
					if line := serve(t, "--listen", listen); !strings.HasSuffix(line, " offers="+want+"\n") {
						t.Errorf("want %s: %s", want, line)
					}
				})
			}
		}
		offers("127.0.0.1:4650")
		ip(t, "link add docker0 type bridge")
		ip(t, "addr add 172.17.0.1/16 dev docker0")
		ip(t, "link set docker0 up")
		offers("127.0.0.1:4650")
		veth(t, "e9", "10.6.0.9/24")
		ip(t, "link set e9 down")
		veth(t, "e0", "10.7.0.9/24")
		offers("10.7.0.9:4650")
		veth(t, "e1", "10.8.0.9/24")
		ip(t, "route add default via 10.8.0.1")
		offers("10.8.0.9:4650")
		// The address that is listened on is the one to offer.
		if line := serve(t, "--listen", "10.7.0.9"); !strings.HasSuffix(line, " offers=10.7.0.9:4650\n") {
			t.Error(line)
		}
	})
}

// Standard error that nobody reads, or that nobody can read any more, stops nothing.
func TestLogStuck(t *testing.T) {
	t.Parallel()
	isolated(t, func(t *testing.T) {
		c := client(t)
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprint("gone=", gone), func(t *testing.T) {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if gone {
					r.Close()
				} else if err := fillUp(w); err != nil {
					t.Fatal(err)
				}
				cmd := command(t, "--listen", "127.0.0.1", "--intent-rate", "-1", "-v")
				cmd.Stderr = w
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				w.Close()
				// Nobody can read that it listens.
				t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, unless the test fails
				for began := time.Now(); !slices.Contains(bound(t), "127.0.0.1:4650"); {
					if time.Since(began) > patience {
						t.Fatal("it does not listen")
					}
				}
				for i := range 100 {
					if i%10 == 0 {
						if err := cmd.Process.Signal(unix.SIGUSR1); err != nil {
							t.Fatal(err)
						}
					}
					if got, _ := ask(t, c, "127.0.0.1:4650", "Type:0;"); !strings.HasPrefix(got, "Type:1;") {
						t.Errorf("answer: %q", got)
					}
				}
				if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Wait(); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// fillUp writes to a pipe until it takes no more, which leaves it blocking.
func fillUp(w *os.File) error {
	c, err := w.SyscallConn()
	if err != nil {
		return err
	}
	e := c.Control(func(fd uintptr) {
		b := make([]byte, 4096)
		for err == nil {
			_, err = unix.Write(int(fd), b)
		}
		if errors.Is(err, unix.EAGAIN) {
			err = unix.SetNonblock(int(fd), false)
		}
	})
	return errors.Join(e, err)
}
