package lab

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/internal/need"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/server"
)

// role makes the test binary play a part in a process of its own.
const role = "MDALP_TEST_ROLE"

func TestMain(m *testing.M) {
	part := os.Getenv(role)
	if part == "" {
		os.Exit(m.Run())
	}
	n, code, err := Enter()
	switch {
	case err != nil:
		fmt.Println("outside:", err)
		os.Exit(99)
	case n == nil:
		os.Exit(code)
	}
	if err := parts[part](n); err != nil {
		fmt.Println("inside:", err)
		os.Exit(1)
	}
	fmt.Println("all is well")
	os.Exit(7)
}

// parts are what is done inside.
var parts = map[string]func(*Network) error{
	"walk":    walk,
	"signals": signals,
	"streams": streams,
}

// inNetwork runs a part, as root or as nobody, and gives its output and exit code.
func inNetwork(t *testing.T, part string, uid int, in string) (string, int) {
	t.Helper()
	cmd := start(t, part, uid)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	code := cmd.ProcessState.ExitCode()
	if code == 99 {
		need.Skip(t, string(out))
	}
	return string(out), code
}

func start(t *testing.T, part string, uid int) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "argument")
	cmd.Env = append(os.Environ(), role+"="+part)
	cmd.Dir = "/"
	if uid != os.Getuid() {
		if os.Getuid() != 0 {
			need.Skip(t, "only root can become another user")
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return cmd
}

const nobody = 65534

func TestNetwork(t *testing.T) {
	for name, uid := range map[string]int{"as we are": os.Getuid(), "as nobody": nobody} {
		t.Run(name, func(t *testing.T) {
			if out, code := inNetwork(t, "walk", uid, ""); code != 7 || !strings.Contains(out, "all is well") {
				t.Errorf("exit code %d:\n%s", code, out)
			}
		})
	}
}

// testProfile has a receiver of each kind, with delays that tell them apart.
func testProfile() *Profile {
	link := func(d float64) sim.LinkConfig {
		return sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(d * 1e6)}}
	}
	r := func(addr, name string, ack, ping float64) Receiver {
		return Receiver{Address: netip.MustParseAddr(addr), Name: name, Forward: link(ack / 2), Backward: link(ack / 2), Ping: link(ping)}
	}
	p := &Profile{
		Name:         "test",
		Orchestrator: Orchestrator{Address: netip.MustParseAddr("18.139.29.142"), OfferDelay: 40 * ms},
		Receivers: []Receiver{
			r("177.71.168.45", "far", 60, 30),
			r("54.200.52.112", "near", 20, 10),
			r("203.0.113.9", "refuses", 20, 15),
			r("203.0.113.10", "dead", 20, 15),
			r("203.0.113.11", "rises", 2, 5),
			r("2001:db8::7", "six", 30, 25),
		},
	}
	p.Receivers[2].Refuse = true
	p.Receivers[3].Dead = true
	p.Receivers[4].DieAfter, p.Receivers[4].ReviveAfter = ms/1000, 700*ms
	return p
}

// patience bounds every wait for what must come. It is far more than anything takes.
const patience = time.Minute

// within says whether a delay is what was asked: never less, and not much more but
// for a busy machine.
func within(what string, got time.Duration, want time.Duration) error {
	if got < want || got > want+patience {
		return fmt.Errorf("%s took %v, want %v", what, got, want)
	}
	return nil
}

// walk tries all that a lab in its own network does.
func walk(n *Network) error {
	if os.Getenv(mark) != "" || len(os.Args) != 2 || os.Args[1] != "argument" {
		return fmt.Errorf("the arguments are %q, the mark is %q", os.Args, os.Getenv(mark))
	}
	if err := pingGroup(); err != nil {
		return fmt.Errorf("no ICMP datagram socket: %w", err)
	}
	payload := []byte(strings.Repeat("0123456789", 24))
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()
	p := testProfile()
	l, err := Start(ctx, Config{Network: n, Profile: p, Seed: 5, Payload: payload})
	if err != nil {
		return err
	}
	defer l.Close()
	if l.Addr().String() != "18.139.29.142:4650" || !l.Private() {
		return fmt.Errorf("orchestrator at %v, private %v", l.Addr(), l.Private())
	}

	started := time.Now()
	c, err := begin(l.Addr())
	if err != nil {
		return err
	}
	if err := within("the offer", time.Since(started), 40*time.Millisecond); err != nil {
		return err
	}
	if len(c.rs) != 6 || c.rs[5].Host != "2001:db8::7" || c.rs[0].Name != "far" || c.rs[0].Port != 0 {
		return fmt.Errorf("offered: %+v", c.rs)
	}

	for i, want := range []time.Duration{30, 10, 15, 0, 0, 25} {
		if want == 0 {
			continue // see below
		}
		rtt, err := ping(p.Receivers[i].Address, patience)
		if err != nil {
			return fmt.Errorf("ping %d: %w", i, err)
		}
		if err := within(fmt.Sprintf("ping %d", i), rtt, want*time.Millisecond); err != nil {
			return err
		}
	}
	if rtt, err := ping(p.Receivers[3].Address, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the dead one answers a ping in %v (%v)", rtt, err)
	}
	if err := c.refusal(2); !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("the one that refuses: %v", err)
	}

	// Six segments of 40 bytes; all go to those that can take them.
	seg := func(k int) []byte { return payload[k*40 : k*40+40] }
	for k, to := range []struct {
		receiver int
		want     time.Duration
	}{{0, 60}, {1, 20}, {5, 30}, {0, 60}, {1, 20}} {
		rtt, err := c.send(to.receiver, int64(k), seg(k), patience)
		if err != nil {
			return fmt.Errorf("segment %d: %w", k, err)
		}
		if err := within(fmt.Sprintf("segment %d", k), rtt, to.want*time.Millisecond); err != nil {
			return err
		}
	}
	if _, err := c.send(4, 5, seg(5), 100*time.Millisecond); err != nil {
		return err
	}
	if d := time.Since(started); d < 700*time.Millisecond {
		return fmt.Errorf("the one that rises at 700 ms took a segment after %v", d)
	}

	r, err := l.Verdict(ctx, c.tid)
	if err != nil {
		return fmt.Errorf("verdict: %w", err)
	}
	if !r.Complete || r.Balanced || r.Comment != server.Unbalanced || r.SHA256 != sha256.Sum256(payload) {
		return fmt.Errorf("verdict: %+v", r)
	}
	if r, err = l.VerdictOf(ctx, r.Client); err != nil || r.TID != c.tid || len(l.Results()) != 1 {
		return fmt.Errorf("verdict by client: %+v, %v", r, err)
	}
	if err := l.Close(); err != nil {
		return err
	}
	if s := l.Stats(); s.Datagrams == 0 || s.Pings == 0 || s.Silenced == 0 {
		return fmt.Errorf("%+v", s)
	}
	if _, err := l.Verdict(ctx, -5); err != ErrClosed {
		return fmt.Errorf("after the end: %v", err)
	}
	// All is closed: another lab has room here.
	l, err = Start(ctx, Config{Network: n, Profile: p})
	if err != nil {
		return fmt.Errorf("again: %w", err)
	}
	return l.Close()
}

// signals tells that it is ready, waits for three signals, and dies of the last.
func signals(*Network) error {
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGINT)
	fmt.Println("ready")
	for _, want := range []os.Signal{syscall.SIGUSR1, syscall.SIGINT, syscall.SIGTERM} {
		select {
		case s := <-c:
			fmt.Println(s)
			if s != want {
				return fmt.Errorf("%v, want %v", s, want)
			}
		case <-time.After(patience):
			return errors.New("no signal")
		}
	}
	signal.Reset(syscall.SIGTERM)
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
	select {}
}

func TestSignalsArePassedOn(t *testing.T) {
	cmd := start(t, "signals", os.Getuid())
	// Without a terminal to type on, no signal can have come from it.
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var got []string
	for lines.Scan() {
		got = append(got, lines.Text())
		switch lines.Text() {
		case "ready":
			cmd.Process.Signal(syscall.SIGUSR1)
		case syscall.SIGUSR1.String():
			cmd.Process.Signal(syscall.SIGINT)
		case syscall.SIGINT.String():
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() == 99 {
		need.Skip(t, strings.Join(got, "\n"))
	}
	if code := cmd.ProcessState.ExitCode(); code != 128+int(unix.SIGTERM) {
		t.Errorf("exit code %d (%v), want 143:\n%s", code, err, strings.Join(got, "\n"))
	}
}

// streams copies its standard input to both outputs.
func streams(*Network) error {
	b, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	fmt.Printf("out %s;", b)
	fmt.Fprintf(os.Stderr, "err %s;", b)
	return nil
}

func TestStreamsPassThrough(t *testing.T) {
	out, code := inNetwork(t, "streams", os.Getuid(), "hello")
	if code != 7 || out != "out hello;err hello;all is well\n" {
		t.Errorf("exit code %d: %q", code, out)
	}
}

// A mark that someone else set must not set up the network of the host.
func TestForgedMark(t *testing.T) {
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(mark, here)
	if out, code := inNetwork(t, "streams", os.Getuid(), "x"); code != 7 {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// Where no namespace can be had, Enter says why. A limit of 0 within a namespace
// refuses further ones.
func TestEnterRefused(t *testing.T) {
	cmd := exec.Command("unshare", "-Urm", "sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces && exec "+self(t))
	cmd.Env = append(os.Environ(), role+"=streams")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 99 {
		if strings.Contains(string(out), "unshare") || cmd.ProcessState == nil {
			need.Skip(t, fmt.Sprintf("%v: %s", err, out))
		}
		t.Fatalf("%v: %s", err, out)
	}
	if s := string(out); !strings.Contains(s, "no network of our own: ") || !strings.Contains(s, "max_user_namespaces is 0") {
		t.Errorf("%s", s)
	}
}

func self(t *testing.T) string {
	p, err := filepath.EvalSymlinks("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// On plain loopback the same profile is played at other addresses.
func TestPlainLoopback(t *testing.T) {
	// Someone has the port of the first receiver.
	squat, err := loop.Listen(netip.AddrPortFrom(standIn(1), server.Port), loop.Options{})
	switch {
	case err == nil:
		defer squat.Close()
	case !errors.Is(err, syscall.EADDRINUSE): // a server that runs on this machine will do
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()
	p := testProfile()
	var settled []server.Result
	l, err := Start(ctx, Config{Profile: p, Payload: []byte("xyz"), Settled: func(r server.Result) { settled = append(settled, r) }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Addr().Addr() != standIn(0) || l.Private() {
		t.Errorf("orchestrator at %v, private %v", l.Addr(), l.Private())
	}
	c, err := begin(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if c.rs[0].Host != "127.77.0.2" || c.rs[0].Port == 0 || c.rs[1].Host != "127.77.0.3" || c.rs[5].Host != "127.77.0.7" {
		t.Errorf("offered: %+v", c.rs)
	}
	if err := c.refusal(2); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the one that refuses: %v", err)
	}
	for i, want := range map[int]time.Duration{0: 60, 1: 20, 5: 30} {
		rtt, err := c.send(i, int64(i)%3, []byte("xyz")[i%3:i%3+1], patience)
		if err == nil {
			err = within(fmt.Sprintf("segment to %d", i), rtt, want*time.Millisecond)
		}
		if err != nil {
			t.Error(err)
		}
	}
	r, err := l.Verdict(ctx, c.tid)
	if err != nil || !r.Complete || r.SHA256 != sha256.Sum256([]byte("xyz")) {
		t.Errorf("%+v, %v", r, err)
	}
	if env := strings.Join(l.Environ(), "\n"); !strings.Contains(env, "\nMDALP_ADDR=127.77.0.1\nMDALP_PORT=") {
		t.Errorf("environment: %s", env)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(settled) != 1 || settled[0].TID != c.tid {
		t.Errorf("settled: %+v", settled)
	}
}

// Two labs with one seed treat one client alike.
func TestLabRepeats(t *testing.T) {
	p := testProfile()
	for i := range p.Receivers {
		p.Receivers[i] = Receiver{Address: p.Receivers[i].Address}
		p.Receivers[i].Forward.Loss.P = 0.5
	}
	lost := func(seed uint64) string {
		l, err := Start(context.Background(), Config{Profile: p, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := begin(l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		return c.volley(1, 24)
	}
	first, again, other := lost(1), lost(1), lost(2)
	if first != again || first == other || strings.Count(first, "x") < 8 || strings.Count(first, ".") < 8 {
		t.Errorf("seed 1: %s\nagain:  %s\nseed 2: %s", first, again, other)
	}
}
