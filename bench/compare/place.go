//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A place is where a run happens: this machine's loopback, or a network of bench/pipe.
type place struct {
	near, far string   // addresses of who has the file and of who gets it
	receiver  string   // one more address of the far side
	enter     []string // what stands before a command line of the near side
	enterFar  []string
	port      int

	hold *exec.Cmd // that keeps the network
	in   io.Closer
	out  *bufio.Scanner
}

// newPlace makes a network of its own for a run, as a kernel remembers paths and windows of TCP.
func (b *bench) newPlace(ctx context.Context, n *network, seed int) (*place, error) {
	p := &place{near: "127.0.0.1", far: "127.0.0.1", receiver: "127.0.0.2"}
	var err error
	if p.port, err = freePort(); err != nil || n.name == "loopback" {
		return p, err
	}
	p.hold = exec.CommandContext(ctx, b.pipe, "-hold", "-seed", fmt.Sprint(seed), n.name)
	p.hold.Stderr = os.Stderr
	stdout, err := p.hold.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.in, err = p.hold.StdinPipe(); err != nil {
		return nil, err
	}
	if err = p.hold.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(stdout)
	for _, side := range []struct {
		enter   *[]string
		address []*string
	}{{&p.enter, []*string{&p.near}}, {&p.enterFar, []*string{&p.far, &p.receiver}}} {
		words := []string{}
		if p.out.Scan() {
			words = strings.Fields(p.out.Text())
		}
		if len(words) < 2+len(side.address) {
			p.close()
			return nil, errors.New("bench/pipe -hold: it does not say where the network is")
		}
		*side.enter = []string{"nsenter", "--net=" + words[1]}
		for i, a := range side.address {
			*a = words[2+i]
		}
		if b.tcp == "" {
			continue
		}
		// Of the namespace of who writes; the name is an argument, and no part of the script.
		set := exec.CommandContext(ctx, "nsenter", "--net="+words[1],
			"sh", "-c", `echo "$1" >/proc/sys/net/ipv4/tcp_congestion_control`, "sh", b.tcp)
		if out, err := set.CombinedOutput(); err != nil {
			p.close()
			return nil, fmt.Errorf("-tcp %s: %w: %s; is it in net.ipv4.tcp_allowed_congestion_control?",
				b.tcp, err, bytes.TrimSpace(out))
		}
	}
	return p, nil
}

// close ends the network, and gives what its links say of the run.
func (p *place) close() (said string) {
	if p.hold == nil {
		return ""
	}
	p.in.Close()
	for p.out.Scan() {
		said = p.out.Text()
	}
	_ = p.hold.Wait() // what it has to say is said
	return said
}

// command is a program on one of the sides. It dies with this one.
func (p *place) command(ctx context.Context, enter, line []string) (*exec.Cmd, error) {
	path, err := find(line[0])
	if err != nil {
		return nil, err
	}
	line = append([]string{path}, line[1:]...) // sshd wants its whole path
	line = append(append([]string{}, enter...), line...)
	c := exec.CommandContext(ctx, line[0], line[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 5 * time.Second
	return c, nil
}

// listens waits until a process has the port. The files of proc(5) are of its namespace, and
// know it for every program alike, whatever it says when it is ready.
func listens(ctx context.Context, pid, port int, gone <-chan error) error {
	want := fmt.Sprintf(":%04X ", port)
	patience := time.After(20 * time.Second)
	for {
		for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table)) // gone, or not yet there
			for line := range bytes.Lines(text) {
				f := bytes.Fields(line)
				// The states of listening and of a UDP socket without a peer (tcp_states.h).
				if len(f) > 3 && bytes.Contains(append(f[1], ' '), []byte(want)) &&
					(string(f[3]) == "0A" || string(f[3]) == "07") {
					return nil
				}
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case err := <-gone:
			return fmt.Errorf("the server ended before it was ready: %w", errors.Join(err, ctx.Err()))
		case <-patience:
			return errors.New("the server was not ready after 20 s")
		}
	}
}

// freePort is a port that nobody has, for TCP and UDP, at the addresses that are used.
func freePort() (int, error) {
	for range 100 {
		t, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := t.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		t.Close()
		if err == nil {
			u.Close()
			return port, nil
		}
	}
	return 0, errors.New("no port is free")
}
