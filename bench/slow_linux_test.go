package bench

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"mdalp/internal/disk"
	"mdalp/loop"
	"mdalp/server"
)

// flushTime is what a flush of a slow takes beside what it takes by itself.
const flushTime = time.Millisecond

// A slow is a folder on a disk that is slow to flush. No disk here is, and to hold up the
// system calls of mdalpd by a tracer costs more than they do.
type slow struct {
	disk.Folder
	device *sync.Mutex // of a disk that flushes one after the other; nil: side by side

	mu      sync.Mutex
	turn    sync.Mutex
	batch   chan struct{} // those who wait for the next flush of the directory
	flushes int           // of the directory
}

func (s *slow) wait() {
	if s.device != nil {
		s.device.Lock()
		defer s.device.Unlock()
	}
	time.Sleep(flushTime) // it stands for the disk's work: there is no event to wait for
}

// Flush is grouped as that of [disk.Dir] is, whose own grouping does not see what is slow here.
func (s *slow) Flush() error {
	s.mu.Lock()
	b := s.batch
	if b != nil {
		s.mu.Unlock()
		<-b
		return nil
	}
	b = make(chan struct{})
	s.batch = b
	s.mu.Unlock()
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	s.batch = nil
	s.flushes++
	s.mu.Unlock()
	s.wait()
	defer close(b)
	return s.Folder.Flush()
}

// Make implements disk.Folder.
func (s *slow) Make(name string, mode uint32) (disk.File, error) {
	f, err := s.Folder.Make(name, mode)
	return s.file(f), err
}

// Open implements disk.Folder.
func (s *slow) Open(name string, flags int) (disk.File, error) {
	f, err := s.Folder.Open(name, flags)
	return s.file(f), err
}

func (s *slow) file(f disk.File) disk.File {
	if f == nil {
		return nil
	}
	return slowFile{f, s}
}

// A slowFile is a file of a slow.
type slowFile struct {
	disk.File
	s *slow
}

// Sync implements disk.File.
func (f slowFile) Sync() error {
	f.s.wait()
	return f.File.Sync()
}

// Datasync implements disk.File.
func (f slowFile) Datasync() error {
	f.s.wait()
	return f.File.Datasync()
}

// TestSmall measures how long 1,000 payloads of 1,000 bytes take from the first intent to the last
// verdict, all at once: to mdalpd, and to a server as mdalpd has it on a disk where a flush takes
// 1 ms, one after the other or side by side.
func TestSmall(t *testing.T) {
	if *settling == "" {
		t.Log("it takes seconds and a quiet machine, and is not run: -settle FOLDER")
		return
	}
	t.Logf("flushes as they are: all verdicts after %v", small(t, settled(t)).Round(time.Millisecond))
	for _, device := range []*sync.Mutex{nil, new(sync.Mutex)} {
		took, flushes := slowly(t, device)
		t.Logf("flushes of %v, one after the other %t: all verdicts after %v, with %d flushes of the directory",
			flushTime, device != nil, took.Round(time.Millisecond), flushes)
	}
}

// slowly sends the payloads to a server on a slow disk.
func slowly(t *testing.T, device *sync.Mutex) (took time.Duration, flushes int) {
	t.Helper()
	path, err := os.MkdirTemp(*settling, "store-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(path)
	d, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	f := &slow{Folder: d, device: device}
	store, err := server.NewDirIn(f, server.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sock, err := loop.Listen(netip.AddrPortFrom(Address(0), 0), loop.Options{PacketInfo: true, Trains: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	w, err := loop.NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	const besides = 16 // as in cmd/mdalpd
	s, err := server.New(server.Config{
		Receivers: []server.Receiver{{Addr: sock.LocalAddr()}}, Store: store, Beside: w.Beside(besides), Log: slog.New(slog.DiscardHandler),
		Buffers: []int{sock.ReceiveBuffer()}, IntentRate: -1, OfferRate: -1, Concurrent: 2000, SourceConcurrent: 2000, Queue: 4000, MaxOpen: 4000,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, s, sock) }()
	took = small(t, sock.LocalAddr())
	cancel()
	<-done // its error is that it was cancelled
	return took, f.flushes
}
