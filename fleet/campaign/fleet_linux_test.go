// Package campaign runs a whole fleet on one machine, and breaks parts of it: three engines, two
// orchestrators and four receivers, each in a network namespace of its own, with one directory.
package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp"
	"mdalp/fleet/engine"
	"mdalp/fleet/engine/nats"
	"mdalp/fleet/internal/apart"
	"mdalp/fleet/internal/engines"
	"mdalp/fleet/internal/rooms"
	"mdalp/fleet/overview"
)

// patience bounds every wait. It is far more than anything takes.
const patience = 4 * time.Minute

// built is a set of programs, built once. The variable tells the test inside of a network of its own
// where they are.
type built struct {
	variable string
	build    func(dir string) error
	once     sync.Once
	dir      string
	err      error
	given    bool
}

// programs are as they are shipped, and apartPrograms have clocks that can be set, see package apart.
var (
	programs = built{variable: "MDALP_FLEET_PROGRAMS", build: func(dir string) error {
		for _, p := range ours {
			c := exec.Command("go", "build", "-buildvcs=false", "-o", dir, p.path)
			c.Dir = p.in
			c.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := c.CombinedOutput(); err != nil {
				return fmt.Errorf("go build %s: %w: %s", p.path, err, out)
			}
		}
		return nil
	}}
	apartPrograms = built{variable: "MDALP_FLEET_APART", build: func(dir string) error {
		err := engines.BuildApart(dir)
		for _, p := range ours {
			err = errors.Join(err, apart.Build(p.in, dir, p.path))
		}
		return err
	}}
)

// ours are the programs of this repository that a fleet is made of.
var ours = []struct{ in, path string }{
	{"../..", "./cmd/mdalp"}, {"../..", "./cmd/mdalpd"}, {"..", "./cmd/mdalp-fleet"},
}

// in gives the folder that they are in.
func (b *built) in(t *testing.T) string {
	t.Helper()
	b.once.Do(func() {
		if b.dir = os.Getenv(b.variable); b.dir != "" {
			b.given = true
			return
		}
		if b.dir, b.err = os.MkdirTemp("", "mdalp-fleet-test"); b.err == nil {
			b.err = b.build(b.dir)
		}
		os.Setenv(b.variable, b.dir)
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.dir
}

// remove takes away what this process has built.
func (b *built) remove() {
	if b.dir != "" && !b.given {
		os.RemoveAll(b.dir)
	}
}

// inside is rooms.Inside for a test with the programs and an engine. They are built before,
// since what they are made of may have to be fetched, and there is no network inside.
func inside(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	program(t, "mdalp")
	engines.Program(t)
	rooms.Inside(t, f)
}

// program gives the path of mdalp, mdalpd or mdalp-fleet.
func program(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(programs.in(t), name)
}

func TestMain(m *testing.M) {
	flag.Parse()
	if most := flag.Lookup("test.parallel"); runtime.GOMAXPROCS(0) < 4 && most.Value.String() == most.DefValue {
		most.Value.Set("4") // they wait, most of the time
	}
	code := m.Run()
	programs.remove()
	apartPrograms.remove()
	os.Exit(code)
}

// A part is an orchestrator or a receiver: a process in a room.
type part struct {
	room  *rooms.Room
	args  []string
	path  string
	log   string
	clock *apart.Clock // nil is the machine's

	cmd  *exec.Cmd
	file *os.File
}

// start starts it.
func (p *part) start() error {
	var err error
	if p.file, err = os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
		return err
	}
	p.cmd = p.room.Command(p.path, p.args...)
	if p.clock != nil {
		p.cmd.Env = p.clock.Environ()
	}
	p.cmd.Stdout, p.cmd.Stderr = p.file, p.file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p.cmd.Start()
}

// kill ends it as a loss of the machine does.
func (p *part) kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.file.Close()
	p.cmd = nil
}

// term asks it to end, and gives its exit code.
func (p *part) term() int {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
	code := p.cmd.ProcessState.ExitCode()
	p.file.Close()
	p.cmd = nil
	return code
}

// A fleet is all of it.
type fleet struct {
	t             *testing.T
	dir           string
	engines       *engines.Cluster
	orchestrators []*part
	receivers     []*part
	clients       *rooms.Room
	apart         map[string]*apart.Clock // of all by name, where they are not the machine's
	look          *nats.Engine            // of the test itself
}

// options of a fleet in tests: what waits for silence waits for less.
type options struct {
	engines, orchestrators, receivers int
	sync                              string                   // of the engines
	extra                             []string                 // options of orchestrators
	room                              string                   // of the directory, as tmpfs has it; "" is the disk's
	each                              []string                 // and of all parts
	apart                             map[string]time.Duration // how far clocks are ahead; nil is not at all
}

// whole is the fleet that docs/fleet.md has figures of.
var whole = options{engines: 3, orchestrators: 2, receivers: 4}

// open starts a fleet, and waits until all are there.
func open(t *testing.T, o options) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir()}
	if o.room != "" {
		f.mount("size=" + o.room)
		t.Cleanup(func() { unix.Unmount(f.dir, unix.MNT_DETACH) })
	}
	var names []string
	for i := range o.engines {
		names = append(names, fmt.Sprint("engine", i+1))
	}
	for i := range o.orchestrators {
		names = append(names, fmt.Sprint("orch", i+1))
	}
	for i := range o.receivers {
		names = append(names, fmt.Sprint("recv", i+1))
	}
	all := make(map[string]*rooms.Room)
	for _, r := range rooms.Open(t, append(names, "clients")...) {
		all[r.Name] = r
	}
	var at []*rooms.Room
	for i := range o.engines {
		at = append(at, all[fmt.Sprint("engine", i+1)])
	}
	f.clients = all["clients"]
	server := engines.Options{Rooms: at, Sync: o.sync}
	path := program(t, "mdalp-fleet")
	if o.apart != nil {
		server.Apart = apartPrograms.in(t)
		path = filepath.Join(server.Apart, "mdalp-fleet")
		f.apart = make(map[string]*apart.Clock)
		for name := range all {
			f.apart[name] = apart.NewClock(t, o.apart[name])
		}
		for _, r := range at {
			server.Clocks = append(server.Clocks, f.apart[r.Name])
		}
	}
	f.engines = engines.Start(t, o.engines, server)
	f.engines.Ready(t)
	logs := t.TempDir()
	common := []string{"--engine", f.engines.URL(), "--dir", f.dir, "--replicas", fmt.Sprint(o.engines)}
	common = append(common, o.each...)
	add := func(command, name string, args ...string) *part {
		p := &part{room: all[name], path: path, log: filepath.Join(logs, name), clock: f.apart[name]}
		p.args = append(append([]string{command, "--listen", p.room.Addr}, common...), args...)
		t.Cleanup(func() {
			p.kill()
			if b, _ := os.ReadFile(p.log); t.Failed() {
				t.Logf("%s: %s", name, b[max(0, len(b)-20000):])
			}
		})
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for i := range o.orchestrators {
		f.orchestrators = append(f.orchestrators, add("orchestrator", fmt.Sprint("orch", i+1),
			append([]string{"--intent-rate", "-1", "--offer-rate", "0", "--idle", "8s"}, o.extra...)...))
	}
	for i := range o.receivers {
		f.receivers = append(f.receivers, add("receiver", fmt.Sprint("recv", i+1),
			"--id", fmt.Sprint("recv", i+1), "--zone", fmt.Sprint("zone", i%2)))
	}
	var err error
	if f.look, err = nats.Dial(nats.Options{URL: f.engines.URL(), Replicas: o.engines}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.look.Close)
	f.await(o.orchestrators, o.receivers)
	return f
}

// mount mounts a file system in memory as the directory, or changes the one that is there.
func (f *fleet) mount(options string, flags ...uintptr) {
	f.t.Helper()
	all := uintptr(0)
	for _, g := range flags {
		all |= g
	}
	var err error
	mounted := func() bool { // what is open to be written to is so for a moment
		err = unix.Mount("none", f.dir, "tmpfs", all, options)
		return !errors.Is(err, unix.EBUSY)
	}
	if !eventually(mounted) || err != nil {
		f.t.Fatal(os.NewSyscallError("mount", err))
	}
}

// await waits until so many are there that take something.
func (f *fleet) await(orchestrators, receivers int) {
	f.t.Helper()
	var there map[engine.Role]int
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		there = make(map[engine.Role]int)
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
		all, err := f.look.Living(ctx)
		cancel()
		for _, p := range all {
			if !p.Draining {
				there[p.Role]++
			}
		}
		if err == nil && there[engine.Orchestrator] == orchestrators && there[engine.Receiver] == receivers {
			return
		}
	}
	f.t.Fatalf("there are %v", there)
}

// addresses are the orchestrators', as -a has them.
func (f *fleet) addresses() string {
	var all []string
	for _, o := range f.orchestrators {
		all = append(all, o.room.Addr)
	}
	return strings.Join(all, ",")
}

// A report is what mdalp tells of a send, as far as it is looked at.
type report struct {
	Transaction int64   `json:"tid"`
	Wait        float64 `json:"wait_seconds"` // for the offer
	Elapsed     float64 `json:"elapsed_seconds"`
	Verdict     float64 `json:"verdict_seconds"` // from the last acknowledgement on
	Resumed     int64   `json:"resumed_bytes"`
	code        int
	said        string
}

// send sends a file from the clients' room. On a busy machine an offer may take longer than a client
// waits by itself.
func (f *fleet) send(ctx context.Context, file string, args ...string) (r report) {
	args = append([]string{"-a", f.addresses(), "-p", "4650", "-f", file, "--ping", "off", "--json",
		"--intent-timeout", patience.String()}, args...)
	path := program(f.t, "mdalp")
	if f.apart != nil {
		path = filepath.Join(apartPrograms.in(f.t), "mdalp")
	}
	c := f.clients.Command(path, args...)
	if f.apart != nil {
		c.Env = f.apart["clients"].Environ()
	}
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return report{code: -1, said: err.Error()}
	}
	stop := context.AfterFunc(ctx, func() { c.Process.Kill() })
	c.Wait()
	stop()
	json.Unmarshal(out.Bytes(), &r) // what is missing is seen by who looks
	r.code, r.said = c.ProcessState.ExitCode(), errs.String()
	return r
}

// stood reports whether all receivers were silent for as long as a client waits: where none was killed,
// the machine stood still, or what they ask.
func (r report) stood() bool {
	return r.code == 1 && strings.Contains(r.said, mdalp.ErrAllDead.Error())
}

// deliver sends a file, and does so again as long as a busy machine has kept it from its receivers, as
// a user does.
func (f *fleet) deliver(ctx context.Context, file string, args ...string) (r report) {
	for end := time.Now().Add(patience); ; {
		r = f.send(ctx, file, args...)
		if !r.stood() || time.Now().After(end) {
			return r
		}
		f.t.Logf("sent again: %+v", r)
	}
}

// view is what status tells.
func (f *fleet) view() *overview.View {
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	return overview.Look(ctx, f.look)
}

// record is what the ledger has of a transaction.
func (f *fleet) record(tid int64) (*engine.Record, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	r, _, err := f.look.Get(ctx, tid)
	return r, err
}

// tell logs all that is known of a transaction.
func (f *fleet) tell(tid int64) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	r, _, err := f.look.Get(ctx, tid)
	f.t.Logf("TID %d: %+v, %v", tid, r, err)
	files, _ := filepath.Glob(filepath.Join(f.dir, fmt.Sprint(tid, "*")))
	for _, name := range files {
		b, err := os.ReadFile(name)
		f.t.Logf("%s: %d bytes, %v: %q", filepath.Base(name), len(b), err, b[:min(len(b), 200)])
	}
	for _, p := range append(f.orchestrators[:len(f.orchestrators):len(f.orchestrators)], f.receivers...) {
		b, _ := os.ReadFile(p.log)
		for l := range strings.Lines(string(b)) {
			if strings.Contains(l, fmt.Sprint("tid=", tid)) {
				f.t.Logf("%s: %s", p.room.Name, strings.TrimSpace(l))
			}
		}
	}
}
