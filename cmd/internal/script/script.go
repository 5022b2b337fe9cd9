// Package script runs the test scripts of the commands: programs as they are, as
// processes, over real sockets. Scripts are those of testscript, with the commands
// listed in [Run] beside its own.
package script

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mdalp/internal/need"
	"mdalp/internal/own"
)

// patience bounds every wait. It is far more than anything takes.
const patience = 60 * time.Second

// nobody is the user and group without any privilege.
const nobody = 65534

// Main is for TestMain: scripts find the command of that name, which runs main, and
// those of the packages in build, beside each other in one folder that every user can
// read.
func Main(m *testing.M, name string, main func(), build ...string) {
	// Scripts wait more than they compute.
	flag.Set("test.parallel", "24")
	testscript.Main(suite{m, name, build}, map[string]func(){name: main})
}

// suite is a run of tests that needs other commands.
type suite struct {
	*testing.M
	name  string
	build []string
}

// Run builds them, and runs the tests.
func (s suite) Run() int {
	self, err := exec.LookPath(s.name)
	if err == nil {
		bin := filepath.Dir(self)
		err = os.Chmod(filepath.Dir(bin), 0o755)
		// Of tests that are no scripts: nothing is left in the home of who runs them.
		os.Setenv("XDG_STATE_HOME", filepath.Join(bin, ".state"))
		for _, p := range s.build {
			c := exec.Command("go", "build", "-buildvcs=false", "-o", bin, p)
			c.Env = append(os.Environ(), "CGO_ENABLED=0") // as they are shipped
			if out, e := c.CombinedOutput(); e != nil {
				err = fmt.Errorf("go build %s: %w: %s", p, e, out)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.M.Run()
}

// Run runs the scripts in testdata/script, side by side and beside the package's other tests
// that are parallel. In the environment of each,
// PORT and PORT2 are free UDP ports, and BIN is the folder of the programs. Its commands:
//
//	run CODE PROGRAM [ARG...]    runs a program, which must end with that exit code
//	                             (128 and the signal's number if it dies of one)
//	start NAME PROGRAM [ARG...]  starts it in the background
//	await NAME REGEXP            waits until its output, or error output, matches
//	signal NAME SIGNAL           sends it INT, TERM, KILL...
//	finish NAME CODE             waits until it ends, with that exit code
//	threads NAME some|all REGEXP some or all of its threads have such a line in
//	                             their status (proc(5))
//	oneline stdout|stderr        the last output was exactly one line
//	payload FILE SIZE            makes a file of that many bytes, of all values
//	fifo PIPE [FILE]             makes a named pipe that gives the file's content
//	want NUMBER GLOB             waits until so many files match
//	ask ADDR TEXT [REGEXP]       sends a datagram, always from the same socket; the
//	                             answer must match. Without REGEXP none is waited for,
//	                             and with ! none may come in half a second
//	peer NAME [KEY=VALUE...]     starts an orchestrator; see [peer]
//	got NAME KEY=VALUE...        what the peer must have received; see [peer]
//	asked NAME                   waits until the peer gets an intent, or has got one
//	                             since the last asked
//
// A program after -nobody is run by a user without privileges, one after -in FILE
// reads that file, one after -tty FILE has a terminal of its own, and what that got is in
// FILE once it has ended; one after -broken writes to a pipe whose reader is gone, one after
// -stuckout or -stuckerr has an output that is full and stays so. CODE may be several,
// as in 130|143.
func Run(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Skip(t, "the scripts need root: they become other users")
	}
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run": run, "start": start, "await": await, "signal": signal,
			"finish": finish, "threads": threads,
			"oneline": oneline, "payload": payload, "fifo": fifo, "want": want,
			"ask": ask, "peer": newPeer, "got": got, "asked": asked,
		},
	})
}

// state is what the commands keep of a script.
type state struct {
	// As the script began; their values are read anew for each program.
	vars  []string
	procs map[string]*process
	peers map[string]*peer
	// The sockets of ask, by family.
	conns map[string]*net.UDPConn
}

// key is the place of the state in a script's values.
type key struct{}

// of gives the state of a script.
func of(ts *testscript.TestScript) *state { return ts.Value(key{}).(*state) }

// setup makes a script's state, and its folder readable to all.
func setup(e *testscript.Env) error {
	s := &state{
		procs: make(map[string]*process),
		peers: make(map[string]*peer),
		conns: make(map[string]*net.UDPConn),
	}
	e.Values[key{}] = s
	e.Defer(func() {
		for _, p := range s.procs { // order does not show
			p.kill()
		}
		for _, p := range s.peers { // order does not show
			p.close()
		}
		for _, c := range s.conns { // order does not show
			c.Close()
		}
	})
	for _, d := range []string{filepath.Dir(e.WorkDir), e.WorkDir} {
		if err := os.Chmod(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(e.WorkDir, ".tmp"), 0o777); err != nil {
		return err
	}
	if err := cover(e); err != nil {
		return err
	}
	// The race detector would wait a second at the end of every program.
	if os.Getenv("GORACE") == "" {
		e.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	bin, err := exec.LookPath("mdalp")
	if err != nil {
		return err
	}
	e.Setenv("BIN", filepath.Dir(bin))
	for _, v := range []string{"PORT", "PORT2"} {
		port, err := own.Port()
		if err != nil {
			return err
		}
		e.Setenv(v, strconv.Itoa(port))
	}
	// What the programs keep of one run for another stays in the script's own folder.
	e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, ".state"))
	s.vars = e.Vars
	return nil
}

// cover gives the programs a folder for what go test -cover has them write, where other
// users may write too: a complaint that they cannot would be taken for their output.
func cover(e *testscript.Env) error {
	dir := e.Getenv("GOCOVERDIR")
	if dir == "" {
		return nil
	}
	own := filepath.Join(e.WorkDir, ".cover")
	if err := os.Mkdir(own, 0o777); err != nil {
		return err
	}
	// Mkdir minds the umask.
	if err := os.Chmod(own, 0o777); err != nil {
		return err
	}
	e.Setenv("GOCOVERDIR", own)
	e.Defer(func() {
		// Their names differ but for the description of the program, which is the same.
		files, _ := os.ReadDir(own)
		for _, f := range files {
			b, err := os.ReadFile(filepath.Join(own, f.Name()))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, f.Name()), b, 0o644)
			}
			if err != nil {
				e.T().Log("coverage: ", err)
			}
		}
	})
	return nil
}
