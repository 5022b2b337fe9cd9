package script

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// A process is a program that a script started.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{} // closed when it has ended
	stdin          *os.File
}

// An output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed at the next Write
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.text.Write(b)
}

// look gives the output, and a channel that is closed when there is more.
func (o *output) look() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return o.text.String(), o.more
}

// begin starts a program. Its environment has the names that setup knew, with the
// values that the script gave them since; more comes by env(1). Else the options of
// whoever runs the tests, in MDALP_ variables, would get in.
func begin(ts *testscript.TestScript, args []string) *process {
	m, args := options(ts, args)
	p := &process{done: make(chan struct{})}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.SysProcAttr = &m.attr
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// A program left behind may hold the pipes open. A machine that stands still meanwhile must not
	// cost what is in them.
	p.cmd.WaitDelay = patience
	for _, v := range of(ts).vars {
		name, _, _ := strings.Cut(v, "=")
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	if m.in != "" {
		f, err := os.Open(m.in)
		ts.Check(err)
		p.stdin = f
		p.cmd.Stdin = f
	}
	// The end that writes is closed by the return, when the program has a copy of it: a write
	// then fails with EPIPE, or kills by SIGPIPE (pipe(7)).
	if m.broken {
		r, w, err := os.Pipe()
		ts.Check(err)
		r.Close()
		defer w.Close()
		p.cmd.Stdout = w
	}
	var full []*os.File
	if m.stuckOut {
		full = append(full, fullPipe(ts)...)
		p.cmd.Stdout = full[1]
	}
	if m.stuckErr {
		full = append(full, fullPipe(ts)...)
		p.cmd.Stderr = full[len(full)-1]
	}
	last := func() {}
	if m.tty != "" {
		last = onTerminal(ts, p.cmd, m.tty)
	}
	ts.Check(p.cmd.Start())
	go func() {
		p.cmd.Wait()
		last()
		for _, f := range full {
			f.Close()
		}
		if p.stdin != nil {
			p.stdin.Close()
		}
		close(p.done)
	}()
	return p
}

// fullPipe makes a pipe with room for nothing, and gives both its ends. Nobody reads it.
func fullPipe(ts *testscript.TestScript) []*os.File {
	var fd [2]int
	ts.Check(unix.Pipe2(fd[:], unix.O_CLOEXEC))
	// Only while it is being filled: the flag is the program's too.
	ts.Check(unix.SetNonblock(fd[1], true))
	var err error
	for b := make([]byte, 4096); err == nil; { // a page: less may leave room (pipe(7))
		_, err = unix.Write(fd[1], b)
	}
	if err != unix.EAGAIN {
		ts.Check(err)
	}
	ts.Check(unix.SetNonblock(fd[1], false))
	return []*os.File{os.NewFile(uintptr(fd[0]), "pipe"), os.NewFile(uintptr(fd[1]), "pipe")}
}

// end waits for it and gives the exit code. Like a shell, it gives 128 and the number
// for a program that a signal ended.
func (p *process) end(ts *testscript.TestScript) int {
	select {
	case <-p.done:
	case <-time.After(patience):
		p.kill()
		out, _ := p.stdout.look()
		errs, _ := p.stderr.look()
		ts.Fatalf("%v does not end\n%s%s", p.cmd.Args, out, errs)
	}
	out, _ := p.stdout.look()
	errs, _ := p.stderr.look()
	ts.Stdout().Write([]byte(out))
	ts.Stderr().Write([]byte(errs))
	if w := p.cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() {
		return 128 + int(w.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// kill ends it at once.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// run is the command run.
func run(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: run CODE PROGRAM [ARG...]")
	}
	ended(ts, begin(ts, args[1:]), args[0])
}

// ended checks how a process ended.
func ended(ts *testscript.TestScript, p *process, code string) {
	if c := p.end(ts); !slices.Contains(strings.Split(code, "|"), strconv.Itoa(c)) {
		ts.Fatalf("exit code %d instead of %s", c, code)
	}
}

// start is the command start.
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME PROGRAM [ARG...]")
	}
	if of(ts).procs[args[0]] != nil {
		ts.Fatalf("%s runs already", args[0])
	}
	of(ts).procs[args[0]] = begin(ts, args[1:])
}

// named gives the process of that name.
func named(ts *testscript.TestScript, name string) *process {
	p := of(ts).procs[name]
	if p == nil {
		ts.Fatalf("there is no process %s", name)
	}
	return p
}

// await is the command await.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await NAME REGEXP")
	}
	p := named(ts, args[0])
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	late := time.After(patience)
	for over := false; ; {
		out, more := p.stdout.look()
		errs, moreErrs := p.stderr.look()
		if re.MatchString(out) || re.MatchString(errs) {
			return
		}
		// What a program wrote last may arrive after its end was seen, hence one look more.
		if over {
			ts.Fatalf("it ended without %q\n%s%s", args[1], out, errs)
		}
		select {
		case <-more:
		case <-moreErrs:
		case <-p.done:
			over = true // one more look
		case <-late:
			ts.Fatalf("%q does not come\n%s%s", args[1], out, errs)
		}
	}
}

// signal is the command signal.
func signal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || unix.SignalNum("SIG"+args[1]) == 0 {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	ts.Check(named(ts, args[0]).cmd.Process.Signal(unix.SignalNum("SIG" + args[1])))
}

// finish is the command finish.
func finish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: finish NAME CODE")
	}
	p := named(ts, args[0])
	delete(of(ts).procs, args[0])
	ended(ts, p, args[1])
}

// threads is the command threads.
func threads(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[1] != "some" && args[1] != "all" {
		ts.Fatalf("usage: threads NAME some|all REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	// What is waited for may come a moment after the line that was awaited.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var all, match int
	for began := time.Now(); time.Since(began) < patience; {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", named(ts, args[0]).cmd.Process.Pid))
		ts.Check(err)
		all, match = 0, 0
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				continue // the thread has ended
			}
			if all++; re.Match(b) {
				match++
			}
		}
		if match == all && all > 0 || match > 0 && args[1] == "some" {
			return
		}
		<-tick.C
	}
	ts.Fatalf("%d of %d threads have it", match, all)
}
