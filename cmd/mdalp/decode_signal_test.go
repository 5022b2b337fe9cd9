package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/internal/pcapng"
)

// longCapture makes a capture of n segments and their acks: more than a pipe holds.
func longCapture(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapng.NewWriter(&b, "test")
	at := time.Unix(1_700_000_000, 0)
	out := pcapng.Datagram{Proto: pcapng.UDP, Src: netip.MustParseAddrPort("10.0.0.1:7"), Dst: netip.MustParseAddrPort("10.0.0.2:4650")}
	in := out
	in.Src, in.Dst = out.Dst, out.Src
	for i := range n {
		out.At, in.At = at.Add(time.Duration(i)*time.Millisecond), at.Add(time.Duration(i)*time.Millisecond+time.Microsecond)
		out.Data, in.Data = fmt.Appendf(nil, "Type:2;TID:1;SEQ:%d;DATA:%0100d", i, i), fmt.Appendf(nil, "Type:3;TID:1;SEQ:%d;", i)
		if err := w.Write(&out); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(&in); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// decoding starts mdalp decode - with the first part of a capture, and returns when it has
// read most of that: a pipe holds 64 KiB, so that it must have.
func decoding(t *testing.T, first []byte, args ...string) (c *exec.Cmd, stdin io.WriteCloser, stderr io.Reader, stdout *bytes.Buffer) {
	t.Helper()
	c = exec.CommandContext(t.Context(), "mdalp", append(args, "-")...)
	stdout = new(bytes.Buffer)
	c.Stdout = stdout
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if stderr, err = c.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(first); err != nil {
		t.Fatal(err)
	}
	return c, stdin, stderr, stdout
}

// TestDecodeInterrupted sends what Ctrl-C sends to decode in a pipeline: the result is of
// all that the other side still writes.
func TestDecodeInterrupted(t *testing.T) {
	t.Parallel()
	b := longCapture(t, 3000)
	half := len(b) / 2
	c, stdin, _, out := decoding(t, b[:half], "decode")
	c.Process.Signal(syscall.SIGINT)
	if _, err := stdin.Write(b[half:]); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	if err := c.Wait(); err != nil || !strings.Contains(out.String(), "-: 6000 packets") || !strings.Contains(out.String(), "acks    3000 of 3000 segments") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDecodeAsked sends what Ctrl-\ sends: it says how far it is, and goes on.
func TestDecodeAsked(t *testing.T) {
	t.Parallel()
	b := longCapture(t, 3000)
	half := len(b) / 2
	c, stdin, errs, out := decoding(t, b[:half], "decode")
	c.Process.Signal(syscall.SIGQUIT)
	line, err := bufio.NewReader(errs).ReadString('\n')
	if err != nil || !regexp.MustCompile(`^mdalp: -: \d+ bytes of the capture so far\n$`).MatchString(line) {
		t.Errorf("%v: %q", err, line)
	}
	if _, err := stdin.Write(b[half:]); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	if err := c.Wait(); err != nil || !strings.Contains(out.String(), "-: 6000 packets") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDecodeStopped sends a second signal, as the other side does not end.
func TestDecodeStopped(t *testing.T) {
	t.Parallel()
	b := longCapture(t, 3000)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		c, stdin, stderr, out := decoding(t, b[:len(b)/2], "decode", "--json")
		defer stdin.Close()
		c.Process.Signal(s)
		if s == syscall.SIGINT {
			hint := make([]byte, 200)
			n, err := stderr.Read(hint)
			if want := "mdalp: -: reading on until the capture ends; interrupt again to stop\n"; err != nil || string(hint[:n]) != want {
				t.Errorf("%q, %v", hint[:n], err)
			}
			c.Process.Signal(s)
		}
		said, err := io.ReadAll(stderr)
		if err != nil {
			t.Fatal(err)
		}
		c.Wait()
		if c.ProcessState.ExitCode() != exitInterrupted || !strings.Contains(string(said), "it is told up to packet ") || strings.Count(string(said), "\n") != 1 {
			t.Errorf("%v: exit code %d, %q", s, c.ProcessState.ExitCode(), said)
		}
		if f := published(t, "decode").fault(t, out.Bytes()); f != "" || !strings.Contains(out.String(), `"kind":"interrupted"`) {
			t.Errorf("%v: %s\n%.400s", s, f, out)
		}
	}
}
