package script

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// oneline is the command oneline. It is how the scripts hold the programs to errors of
// one line, whatever a name has in it.
func oneline(ts *testscript.TestScript, neg bool, args []string) {
	// With ! in front a script would ask for something that nobody has defined.
	if neg || len(args) != 1 {
		ts.Fatalf("usage: oneline stdout|stderr")
	}
	text := ts.ReadFile(args[0])
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		ts.Fatalf("%s is not one line: %q", args[0], text)
	}
}

// payload is the command payload.
func payload(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: payload FILE SIZE")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i + i/256) // no two segments are the same
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// fifo is the command fifo.
func fifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: fifo PIPE [FILE]")
	}
	name := ts.MkAbs(args[0])
	ts.Check(unix.Mkfifo(name, 0o644))
	if len(args) == 1 {
		return // nobody ever writes
	}
	// Read before the goroutine starts: ts belongs to the script's own.
	content := []byte(ts.ReadFile(args[1]))
	go func() {
		// The open waits for the reader.
		if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
			f.Write(content)
			f.Close()
		}
	}()
}

// want is the command want. Files that must not be there are wanted 0 times: a glob
// that matches nothing is no error.
func want(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: want NUMBER GLOB")
	}
	// They may be on their way still.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		found, err := filepath.Glob(ts.MkAbs(args[1]))
		ts.Check(err)
		if strconv.Itoa(len(found)) == args[0] {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("%d files instead of %s: %v", len(found), args[0], found)
		}
	}
}

// ask is the command ask.
func ask(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 && len(args) != 3 || neg && len(args) != 2 {
		ts.Fatalf("usage: ask ADDR TEXT [REGEXP]")
	}
	to, err := net.ResolveUDPAddr("udp", args[0])
	ts.Check(err)
	// A socket for each family, opened once: a server knows its clients by their ports, and a
	// script asks as one client.
	family := "udp4"
	if to.IP.To4() == nil {
		family = "udp6"
	}
	c := of(ts).conns[family]
	if c == nil {
		c, err = net.ListenUDP(family, nil)
		ts.Check(err)
		of(ts).conns[family] = c
	}
	_, err = c.WriteTo([]byte(args[1]), to)
	ts.Check(err)
	limit := patience
	// Long enough for an answer over loopback, short enough for a suite that waits it out.
	if neg {
		limit = 500 * time.Millisecond
	} else if len(args) == 2 {
		return
	}
	c.SetReadDeadline(time.Now().Add(limit))
	b := make([]byte, 65536)
	n, from, err := c.ReadFromUDP(b)
	// Other programs of this machine send datagrams, too, and not always to whom they mean.
	for err == nil && from.String() != to.String() {
		ts.Logf("not from %v, but from %v: %q", to, from, b[:n])
		n, from, err = c.ReadFromUDP(b)
	}
	switch {
	case neg && err == nil:
		ts.Fatalf("an answer from %v: %q", from, b[:n])
	case neg:
	case err != nil:
		ts.Fatalf("no answer: %v", err)
	case !regexp.MustCompile(args[2]).Match(b[:n]):
		ts.Fatalf("%v says %q", from, b[:n])
	}
}
