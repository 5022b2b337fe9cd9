package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/internal/manager"
	"mdalp/loop"
	"mdalp/server"
)

// listener is the socket of a service manager.
func listener(t *testing.T) *net.UnixConn {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return c
}

// hear waits for a message to the service manager.
func hear(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// idleNews is what is told when nothing has come.
var idleNews = "WATCHDOG=1\nSTATUS=0 open, 0 stored, 0 B/s"

// A service manager hears that all is ready, how it goes, again and again, and that it ends.
func TestManager(t *testing.T) {
	c := listener(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	store := t.TempDir()
	// Any free port: the test has no range of its own.
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := free.LocalAddr().String()
	d := launch(t, passing(exec.Command("mdalpd", "--listen", at, "--store", store), file(t, free)), false, "msg=listening ")
	if got := hear(t, c); got != "READY=1" {
		t.Errorf("first %q", got)
	}
	for range 3 {
		if got := hear(t, c); got != idleNews {
			t.Errorf("told %q", got)
		}
	}
	if err := d.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for got := ""; got != "STOPPING=1"; {
		if got = hear(t, c); got != "STOPPING=1" && got != idleNews {
			t.Fatalf("told %q", got)
		}
	}
	if code, said := d.end(0); code != 0 || strings.Contains(said, "level=WARN") {
		t.Errorf("%d: %s", code, said)
	}
}

// file is the socket of c, and c is closed.
func file(t *testing.T, c *net.UDPConn) *os.File {
	t.Helper()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	t.Cleanup(func() { f.Close() })
	return f
}

// The loop itself says that it turns: while it stands still, nothing is told.
func TestStuckLoopIsSilent(t *testing.T) {
	c := listener(t)
	t.Setenv("WATCHDOG_USEC", "2000") // every millisecond
	w, err := loop.NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d := &daemon{waker: w, log: slog.New(slog.DiscardHandler), manager: manager.New(slog.New(slog.DiscardHandler))}
	cfg := server.Config{Receivers: []server.Receiver{{Addr: netip.MustParseAddrPort("127.0.0.1:4650")}}}
	if d.Server, err = server.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(time.Now()); err != nil {
		t.Fatal(err)
	}
	w.Post(d.ready)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stuck, free := make(chan bool), make(chan bool)
	over := make(chan error)
	go func() { over <- w.Run(ctx, d.Server) }()
	if got := hear(t, c); got != "READY=1" {
		t.Errorf("first %q", got)
	}
	w.Post(func(time.Time) { stuck <- true; <-free })
	<-stuck
	// What was told before is on its way; then there is nothing more, however long one waits. A
	// loop that went on would have told thirty times as much.
	said := 0
	for ; ; said++ {
		if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 2048)); err != nil {
			break
		}
		if said > 1000 {
			t.Fatal("the loop stands still, and is told to turn")
		}
	}
	free <- true
	if got := hear(t, c); !strings.HasPrefix(got, "WATCHDOG=1\n") {
		t.Errorf("the loop turns again, and %q is told", got)
	}
	stop()
	<-over
}

func TestSpeed(t *testing.T) {
	for _, c := range []struct {
		rate float64
		want string
	}{{0, "0 B/s"}, {999, "999 B/s"}, {999.6, "1 kB/s"}, {41e6, "41 MB/s"}, {1.234e9, "1.23 GB/s"}, {5e14, "500 TB/s"}} {
		if got := speed(c.rate); got != c.want {
			t.Errorf("%v: %q instead of %q", c.rate, got, c.want)
		}
	}
}
