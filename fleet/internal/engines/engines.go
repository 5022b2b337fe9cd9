// Package engines runs real NATS servers for tests: processes, with their files in temporary
// folders, that can be killed and started again.
package engines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/internal/apart"
	"mdalp/fleet/internal/rooms"
	"mdalp/internal/own"
)

// patience is how long a cluster may take until it answers. It is far more than it takes.
const patience = 5 * time.Minute

// Options say how servers are started. The zero value is plain: no TLS, everybody may come in.
type Options struct {
	// Rooms has each server in a room; nil has them on the loopback interface.
	Rooms []*rooms.Room
	// Extra gives what else the configuration of a server has, as a tls block; addr is its
	// address. It may be nil.
	Extra func(addr string) string
	// Sync is sync_interval: "always", or how often; "" is the server's default.
	Sync string
	// Clocks gives each server a wall clock of its own; Apart is where BuildApart has put the
	// program that follows it.
	Clocks []*apart.Clock
	Apart  string
}

// A Cluster is a few servers that know each other.
type Cluster struct {
	Servers []*Server
}

// A Server is one of them.
type Server struct {
	Name string
	Addr string // without the port
	Dir  string

	shift   int // of its ports from the usual ones
	program string
	room    *rooms.Room
	clock   *apart.Clock
	cmd     *exec.Cmd
	said    *os.File
}

// Program gives the path of nats-server, as it is built from its module.
func Program(tb testing.TB) string {
	tb.Helper()
	c := exec.Command("go", "tool", "-n", "nats-server")
	c.Dir = moduleDir(tb)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		tb.Fatalf("nats-server cannot be built: %v: %s", err, &errs)
	}
	return string(bytes.TrimSpace(out))
}

// BuildApart builds nats-server into the folder bin, with a clock as package apart has it.
func BuildApart(bin string) error {
	dir, err := findModule()
	if err == nil {
		err = apart.Build(dir, bin, "github.com/nats-io/nats-server/v2")
	}
	return err
}

func moduleDir(tb testing.TB) string {
	dir, err := findModule()
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// findModule looks for the module with the server, from the test's folder upwards.
func findModule() (string, error) {
	from, err := os.Getwd()
	for dir := from; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		d := filepath.Join(dir, "enginetest")
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, nil
		}
	}
	return "", errors.Join(fmt.Errorf("there is no module enginetest above %q", from), err)
}

// Start starts n servers, and waits until they answer. They are gone when the test has ended.
func Start(tb testing.TB, n int, o Options) *Cluster {
	tb.Helper()
	program, c := filepath.Join(o.Apart, "nats-server"), new(Cluster)
	if o.Apart == "" {
		program = Program(tb)
	}
	prefix, err := own.Net()
	if err != nil {
		tb.Fatal(err)
	}
	shift := 0
	if o.Rooms == nil {
		shift = untaken(tb, prefix+"1")
	}
	for i := range n {
		s := &Server{Name: fmt.Sprintf("engine%d", i+1), program: program, Dir: tb.TempDir(), shift: shift}
		s.Addr = prefix + strconv.Itoa(i+1)
		if o.Rooms != nil {
			s.room, s.Addr = o.Rooms[i], o.Rooms[i].Addr
		}
		if o.Clocks != nil {
			s.clock = o.Clocks[i]
		}
		c.Servers = append(c.Servers, s)
	}
	var routes []string
	for _, s := range c.Servers {
		routes = append(routes, "nats://"+s.at(routePort))
	}
	for _, s := range c.Servers {
		if err := os.WriteFile(s.config(), []byte(s.text(o, routes)), 0o600); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { s.Kill() })
		if err := s.Start(); err != nil {
			tb.Fatal(err)
		}
	}
	return c
}

// The usual ports of a server: of clients, of other servers, and of its page.
const (
	clientPort = 4222
	routePort  = 6222
	pagePort   = 8222
)

// untaken is by how much ports are shifted that nobody listens on, at all addresses of this machine: the
// network is ours alone, but a server for all addresses is at this one, too.
func untaken(tb testing.TB, addr string) (shift int) {
	tb.Helper()
	for ; shift < 1000; shift++ {
		taken := false
		for _, port := range []int{clientPort, routePort, pagePort} {
			l, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", addr, port+shift))
			if err != nil {
				taken = true
				continue
			}
			l.Close()
		}
		if !taken {
			return shift
		}
	}
	tb.Fatalf("all ports of %s are taken", addr)
	return 0
}

// at is its address with one of the usual ports.
func (s *Server) at(port int) string { return fmt.Sprintf("%s:%d", s.Addr, port+s.shift) }

// At is its address for clients.
func (s *Server) At() string { return s.at(clientPort) }

// Apart waits until the servers have said something, and fails unless their clocks are as far ahead
// as Options.Clocks says.
func (c *Cluster) Apart(tb testing.TB) {
	tb.Helper()
	for _, s := range c.Servers {
		s.clock.Check(tb, s.Log(), `(?m)^\[\d+\] (\S+ \S+) `, "2006/01/02 15:04:05")
	}
}

func (s *Server) config() string { return filepath.Join(s.Dir, "nats.conf") }

// Log is the file that it logs to.
func (s *Server) Log() string { return filepath.Join(s.Dir, "log") }

// text is its configuration.
func (s *Server) text(o Options, routes []string) string {
	t := fmt.Sprintf("server_name: %s\nlisten: %q\nhttp: %q\n", s.Name, s.At(), s.at(pagePort))
	t += fmt.Sprintf("jetstream {\n store_dir: %q\n max_memory_store: 64M\n max_file_store: 4G\n", s.Dir)
	if o.Sync != "" {
		t += " sync_interval: " + o.Sync + "\n"
	}
	t += "}\n"
	if len(routes) > 1 {
		t += fmt.Sprintf("cluster {\n name: fleet\n listen: %q\n routes: [%s]\n}\n",
			s.at(routePort), strings.Join(routes, ", "))
	}
	if o.Extra != nil {
		t += o.Extra(s.Addr)
	}
	return t
}

// Start starts the server, which must not run.
func (s *Server) Start() error {
	var err error
	if s.said, err = os.OpenFile(s.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	s.cmd = exec.Command(s.program, "-c", s.config())
	if s.room != nil {
		s.cmd = s.room.Command(s.program, "-c", s.config())
	}
	if s.clock != nil {
		s.cmd.Env = s.clock.Environ()
	}
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return s.cmd.Start()
}

// Kill ends it as a loss of the machine does, with kill -9. What runs no more stays so.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.said.Close()
	s.cmd = nil
}

// Room is where it runs; nil is on the loopback interface.
func (s *Server) Room() *rooms.Room { return s.room }

// Pid is the process of the server.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Stop has it stand still, as a machine that is cut off: it holds its connections, and
// answers nothing. Go has it go on.
func (s *Server) Stop() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Go takes a Stop back.
func (s *Server) Go() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// URL has the addresses of all, as a client takes them.
func (c *Cluster) URL() string {
	var all []string
	for _, s := range c.Servers {
		all = append(all, "nats://"+s.At())
	}
	return strings.Join(all, ",")
}

// Ready waits until the cluster has a leader that answers.
func (c *Cluster) Ready(tb testing.TB, options ...nats.Option) {
	tb.Helper()
	nc, err := nats.Connect(c.URL(), append(options, nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))...)
	if err != nil {
		tb.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err = js.AccountInfo(ctx)
		cancel()
		if err == nil {
			return
		}
	}
	for _, s := range c.Servers {
		said, _ := os.ReadFile(s.Log())
		tb.Logf("%s: %s", s.Name, said)
	}
	tb.Fatal(errors.Join(errors.New("the engine does not answer"), err))
}
