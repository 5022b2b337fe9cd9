package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A program runs in a namespace.
type program struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer  // valid when it has ended
	said   *said         // on both outputs
	ended  chan struct{} // closed when it has
	err    error         // then valid
}

// run starts a program in a namespace. It is killed when ctx ends, which an interruption of
// this program brings about too. Its standard output is kept whole for who reads JSON of it.
func run(ctx context.Context, n *namespace, path string, args ...string) (*program, error) {
	p := &program{cmd: exec.CommandContext(ctx, path, args...), said: &said{news: make(chan struct{})},
		ended: make(chan struct{})}
	p.cmd.Stdout = io.MultiWriter(&p.stdout, p.said)
	p.cmd.Stderr = p.said
	if err := n.start(p.cmd); err != nil {
		return nil, err
	}
	// Whoever waits for the end can so wait for something else as well.
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// wait waits for the end, and makes one line of what went wrong.
func (p *program) wait() error {
	<-p.ended
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", filepath.Base(p.cmd.Path), p.err, p.said.last())
}

// stop asks a server to end, and waits. One that does not listen is killed: what it says at
// its end is of no use here.
func (p *program) stop() {
	// It may have ended by itself.
	_ = p.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// says waits until the program has said something, as a server that is ready does. A fixed
// time would be too short on a busy machine, and too long on any other.
func (p *program) says(ctx context.Context, what string) error {
	patience := time.After(10 * time.Second)
	name := filepath.Base(p.cmd.Path)
	for {
		found, news := p.said.has(what)
		if found {
			return nil
		}
		select {
		case <-news:
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready: %s", name, p.said.last())
		case <-ctx.Done():
			return ctx.Err()
		case <-patience:
			return fmt.Errorf("%s was not ready after 10 s: %s", name, p.said.last())
		}
	}
}

// said is the start of what a program wrote, for whoever waits for it. Only the start: a log
// may be long, and a server says that it is ready, or why not, at once.
type said struct {
	mu   sync.Mutex
	text []byte
	news chan struct{} // closed at the next writing
}

// Write implements [io.Writer].
func (s *said) Write(b []byte) (int, error) {
	const most = 1 << 16
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, b[:min(len(b), most-len(s.text))]...)
	close(s.news)
	s.news = make(chan struct{})
	return len(b), nil
}

// has reports whether it was said already, and else gives what to wait for before asking again.
func (s *said) has(what string) (found bool, news <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.text, []byte(what)), s.news
}

// last is the last line, which tells why a program failed.
func (s *said) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.TrimSpace(string(s.text))
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// A bench has the programs, and a place for what they send and store.
type bench struct {
	mdalp, mdalpd string
	iperf         string // empty if there is none
	bin, data     string // temporary folders
	seed          uint64
	payload       string // the file sent last
	size          int64  // its length
}

// newBench looks for the programs, and builds those that it was not told, without C, as a
// release is built. What fails here would fail every row.
func newBench(ctx context.Context, o *options) (*bench, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("this user may not make network namespaces and TUN devices: " +
			"run it as root, with sudo for one")
	}
	b := &bench{mdalp: o.mdalp, mdalpd: o.mdalpd, seed: o.seed}
	if !o.noTCP {
		b.iperf, _ = exec.LookPath("iperf3") // what it means that there is none is told later
	}
	var err error
	if b.bin, err = os.MkdirTemp("", "mdalp-pipe-"); err != nil {
		return nil, err
	}
	// Of memory if there is such a place: a disk would be one more bottleneck. Programs do not
	// go there, as nothing may be started from it in many containers.
	dir := o.dir
	if _, err := os.Stat("/dev/shm"); err == nil && dir == "" {
		dir = "/dev/shm"
	}
	if b.data, err = os.MkdirTemp(dir, "mdalp-pipe-"); err != nil {
		b.close()
		return nil, err
	}
	// What the client notes of transfers that are cut off is none of the user's.
	os.Setenv("XDG_STATE_HOME", filepath.Join(b.bin, "state"))
	for _, c := range []struct {
		path *string
		name string
	}{{&b.mdalp, "mdalp"}, {&b.mdalpd, "mdalpd"}} {
		if *c.path != "" {
			continue
		}
		*c.path = filepath.Join(b.bin, c.name)
		cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath",
			"-o", *c.path, "mdalp/cmd/"+c.name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.close()
			return nil, fmt.Errorf("go build mdalp/cmd/%s: %w: %s: "+
				"start this from the module's folder, or give -%s PATH",
				c.name, err, strings.Join(strings.Fields(string(out)), " "), c.name)
		}
	}
	return b, nil
}

// close removes the temporary folders.
func (b *bench) close() {
	for _, dir := range []string{b.bin, b.data} {
		if dir != "" {
			_ = os.RemoveAll(dir) // what cannot be removed is temporary all the same
		}
	}
}
