package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/internal/need"
)

// A browser is a headless Chromium, spoken to by the Chrome DevTools Protocol over a pair of
// pipes: messages in JSON, each ended by a zero byte.
type browser struct {
	out io.WriteCloser

	mu      sync.Mutex
	id      int
	answers map[int]chan devtools
	tabs    map[string]*tab
	err     error // it has ended
}

// A devtools is a message of that protocol.
type devtools struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// chromium starts a browser for the time of a test.
func chromium(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		need.Skip(t, err)
	}
	// It leaves a socket in the folder for temporary files, which has to have a short name.
	tmp, err := os.MkdirTemp("", "mdalpd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	theirs, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// A container has no sandbox for root. All that it loads is ours.
	cmd := exec.Command(
		program,
		"--headless=new",
		"--no-sandbox",
		"--remote-debugging-pipe",
		"--user-data-dir="+t.TempDir(),
		"--disable-gpu",
		"--disable-dev-shm-usage",
		"--no-first-run",
		"--no-default-browser-check",
		"--hide-scrollbars",
		"--disable-background-networking",
		"--disable-component-update",
		"--disable-sync",
		"--disable-extensions",
		"--no-proxy-server",
		"--lang=en",
		"about:blank",
	)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.ExtraFiles = []*os.File{theirs, ours} // 3 and 4, as it wants them
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	ours.Close()
	b := &browser{out: out, answers: make(map[int]chan devtools), tabs: make(map[string]*tab)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.read(in)
	}()
	t.Cleanup(func() {
		// Its helpers are in its group, and write to its folder until they are gone.
		_ = syscall.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
		out.Close()
		<-done
		in.Close()
	})
	return b
}

// read hands on what the browser says until it ends.
func (b *browser) read(in io.Reader) {
	r := bufio.NewReader(in)
	for {
		text, err := r.ReadBytes(0)
		b.mu.Lock()
		if err != nil {
			b.err = err
			for _, a := range b.answers { // order does not show
				close(a)
			}
			b.mu.Unlock()
			return
		}
		var m struct {
			devtools
			Params json.RawMessage `json:"params"`
		}
		if json.Unmarshal(text[:len(text)-1], &m) == nil {
			if a := b.answers[m.ID]; m.ID != 0 && a != nil {
				delete(b.answers, m.ID)
				a <- m.devtools
			} else if tab := b.tabs[m.Session]; tab != nil {
				tab.hear(m.Method, m.Params)
			}
		}
		b.mu.Unlock()
	}
}

// call asks for something and waits for the answer, which goes to result unless it is nil.
func (b *browser) call(t *testing.T, session, method string, params, result any) {
	t.Helper()
	b.mu.Lock()
	b.id++
	a := make(chan devtools, 1)
	b.answers[b.id] = a
	text, err := json.Marshal(devtools{ID: b.id, Session: session, Method: method, Params: params})
	if err == nil {
		err = b.err
	}
	b.mu.Unlock()
	if err == nil {
		_, err = b.out.Write(append(text, 0))
	}
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-a:
		switch {
		case !ok:
			err = errors.New("the browser has ended")
		case m.Error != nil:
			err = errors.New(m.Error.Message)
		case result != nil:
			err = json.Unmarshal(m.Result, result)
		}
	case <-time.After(patience):
		err = errors.New("the browser does not answer")
	}
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}
