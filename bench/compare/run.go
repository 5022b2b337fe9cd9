//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// most bounds a run: what takes longer is a fault, and no figure.
const most = 10 * time.Minute

// A bench has the programs and the folders of all runs.
type bench struct {
	runs                      int
	fixed                     int64  // size by -size
	tcp                       string // congestion control by -tcp
	self, mdalp, mdalpd, pipe string
	bin, data                 string // folders, removed at the end
	madeRun                   bool   // /run/sshd is ours
	payload                   string
	size                      int64 // of the payload
	err                       error // of a file that a command line needs
}

// newBench builds the programs of this module, and makes the keys.
func newBench(ctx context.Context, o *options) (b *bench, err error) {
	b = &bench{runs: o.runs, fixed: o.size, tcp: o.tcp}
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.bin, err = os.MkdirTemp("", "mdalp-compare-"); err != nil {
		return nil, err
	}
	if b.data, err = os.MkdirTemp(o.dir, "mdalp-compare-"); err != nil {
		b.close()
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-o", b.bin,
		"mdalp/cmd/mdalp", "mdalp/cmd/mdalpd", "mdalp/bench/pipe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.close()
		return nil, fmt.Errorf("go build: %w: %s: start this from the module's folder",
			err, strings.Join(strings.Fields(string(out)), " "))
	}
	b.mdalp, b.mdalpd = filepath.Join(b.bin, "mdalp"), filepath.Join(b.bin, "mdalpd")
	b.pipe = filepath.Join(b.bin, "pipe")
	if keygen, err := find("ssh-keygen"); err == nil {
		key := exec.CommandContext(ctx, keygen, "-q", "-t", "ed25519", "-N", "",
			"-f", filepath.Join(b.bin, "key"))
		if out, err := key.CombinedOutput(); err != nil {
			b.close()
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, bytes.TrimSpace(out))
		}
		// sshd of root insists on this folder, which a service would have made.
		b.madeRun = os.Geteuid() == 0 && os.Mkdir("/run/sshd", 0o755) == nil
	}
	return b, nil
}

// close removes what the runs left.
func (b *bench) close() {
	for _, dir := range []string{b.bin, b.data} {
		if dir != "" {
			_ = os.RemoveAll(dir) // temporary all the same
		}
	}
	if b.madeRun {
		_ = os.Remove("/run/sshd")
	}
}

// write writes a file that a command line needs. An error is kept for the run.
func (b *bench) write(name, text string) {
	b.err = errors.Join(b.err, os.WriteFile(name, []byte(text), 0o600))
}

// arrives is where a file has to arrive. mdalpd names it by the number of the transaction.
func (b *bench) arrives() string { return filepath.Join(b.data, "far", "1.bin") }

// prepare makes a payload of random bytes, which nothing can make fewer, and an empty folder.
func (b *bench) prepare(size int64) error {
	far := filepath.Dir(b.arrives())
	if err := errors.Join(os.RemoveAll(far), os.MkdirAll(far, 0o755)); err != nil || b.size == size {
		return err
	}
	near := filepath.Join(b.data, "near")
	if err := os.MkdirAll(near, 0o755); err != nil {
		return err
	}
	b.payload, b.size = filepath.Join(near, "payload"), size
	f, err := os.Create(b.payload)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), size)
	return errors.Join(err, f.Close())
}

// network measures all tools in a network, in turns, and prints its table.
func (b *bench) network(ctx context.Context, n *network, list []*tool, out io.Writer) error {
	took := make([][]time.Duration, len(list))
	said := make([]string, len(list))
	sizes := make([]int64, len(list))
	var failed []error
	for run := range b.runs {
		for i, t := range list {
			sizes[i] = cmp.Or(b.fixed, n.size)
			switch {
			case t.least:
				sizes[i] = min(sizes[i], n.least)
			case t.waits:
				sizes[i] = min(sizes[i], n.few)
			}
			d, links, err := b.run(ctx, n, t, sizes[i], run+1)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("%s, %s: %w", n.name, t.name, err))
				continue
			}
			took[i], said[i] = append(took[i], d), links
		}
	}
	fmt.Fprintf(out, "\n%s: %s; TCP is %s; medians of %d\n\n"+
		"| program | bytes | seconds | least to most | MB/s |\n|---|---|---|---|---|\n",
		n.name, n.about, b.control(n), b.runs)
	for i, t := range list {
		if len(took[i]) == 0 {
			continue
		}
		slices.Sort(took[i])
		m := took[i][len(took[i])/2].Seconds()
		fmt.Fprintf(out, "| %s | %d | %.3f | %.3f to %.3f | %.3g |\n", t.name, sizes[i], m,
			took[i][0].Seconds(), took[i][len(took[i])-1].Seconds(), float64(sizes[i])/m/1e6)
	}
	for i, t := range list {
		if said[i] != "" {
			fmt.Fprintf(out, "  %s, last run: %s\n", t.name, said[i])
		}
	}
	return errors.Join(failed...)
}

// control is the congestion control of TCP in a network.
func (b *bench) control(n *network) string {
	if b.tcp != "" && n.name != "loopback" {
		return b.tcp
	}
	name, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control") // else it is not told
	return strings.TrimSpace(string(name))
}

// run is one transfer by one tool. links is what the links say of it.
func (b *bench) run(
	ctx context.Context, n *network, t *tool, size int64, seed int,
) (took time.Duration, links string, err error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if err := b.prepare(size); err != nil {
		return 0, "", err
	}
	p, err := b.newPlace(ctx, n, seed)
	if err != nil {
		return 0, "", err
	}
	defer func() { links = p.close() }()
	serving, clients := p.enterFar, p.enter
	if t.pull {
		serving, clients = clients, serving
	}
	s, err := p.command(ctx, serving, t.server(b, p))
	if err = errors.Join(err, b.err); err != nil {
		return 0, "", err
	}
	var log bytes.Buffer
	s.Stdout, s.Stderr = &log, &log
	if err := s.Start(); err != nil {
		return 0, "", err
	}
	gone := make(chan error, 1)
	go func() { gone <- s.Wait() }()
	ready := listens(ctx, s.Process.Pid, p.port, gone)
	if ready == nil {
		took, err = b.client(ctx, t, p, clients)
	}
	_ = s.Cancel() // it may have ended by itself
	if ready == nil {
		<-gone
	}
	if err = errors.Join(ready, err); err != nil {
		return 0, "", fmt.Errorf("%w; the server said: %s", err, bytes.TrimSpace(log.Bytes()))
	}
	if !t.nothing {
		err = same(b.payload, b.arrives())
	}
	return took, "", err
}

// client runs the client, and tells its time.
func (b *bench) client(ctx context.Context, t *tool, p *place, enter []string) (time.Duration, error) {
	c, err := p.command(ctx, enter, t.client(b, p))
	if err != nil {
		return 0, err
	}
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	start := time.Now()
	err = c.Run()
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", filepath.Base(c.Args[0]), err, bytes.TrimSpace(stderr.Bytes()))
	}
	if t.took != nil {
		return t.took(b, stdout.Bytes(), b.size)
	}
	return took, nil
}

// same says whether two files hold the same bytes.
func same(a, b string) error {
	f, err := os.Open(a)
	if err != nil {
		return err
	}
	defer f.Close()
	g, err := os.Open(b)
	if err != nil {
		return fmt.Errorf("it did not arrive: %w", err)
	}
	defer g.Close()
	x, y := bufio.NewReaderSize(f, 1<<20), bufio.NewReaderSize(g, 1<<20)
	left, right := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		k, err := io.ReadFull(x, left)
		l, _ := io.ReadFull(y, right)
		if k != l || !bytes.Equal(left[:k], right[:l]) {
			return errors.New("what arrived is not what was sent")
		}
		if err != nil {
			return nil // both are over
		}
	}
}
