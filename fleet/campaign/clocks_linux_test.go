package campaign

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// minutes is how far the clocks of a fleet are ahead whose machines nobody keeps together. Those of
// the others, and the kernel's, which files are stamped by, are at 0.
var minutes = map[string]time.Duration{
	"engine1": -5 * time.Minute, "engine2": 7 * time.Minute,
	"orch1": 7 * time.Minute, "orch2": -5 * time.Minute,
	"recv1": -5 * time.Minute, "recv2": 7 * time.Minute, "recv3": time.Minute,
	"clients": -3 * time.Minute,
}

// set sets the clock of a part while that runs.
func (f *fleet) set(t *testing.T, name string, ahead time.Duration) {
	t.Helper()
	if err := f.apart[name].Set(ahead); err != nil {
		t.Fatal(err)
	}
}

// The clocks of all parts, of the engine's servers and of the clients are minutes apart, and one
// receiver's is set to and fro while it takes segments. What is told complete is there; who is dead is
// offered no more, and who lives stays; what is incomplete is kept when it was silent for long enough, and
// resumed; and all that is killed comes back.
func TestClocks(t *testing.T) {
	t.Parallel()
	apartPrograms.in(t)
	inside(t, func(t *testing.T) {
		o := whole
		key := keyFile(t, "office.key")
		o.apart = minutes
		o.extra = []string{"--key", key, "--silence", "8s"}
		o.each = []string{"--drain", "2s", "--fleet-key", keyFile(t, "fleet.key")}
		f := open(t, o)
		f.engines.Apart(t)
		for _, p := range append(f.orchestrators[:2:2], f.receivers...) {
			p.clock.Check(t, p.log, `(?m)^time=(\S+) `, time.RFC3339Nano)
		}
		s := &senders{f: f, dir: t.TempDir(), key: key, stop: make(chan struct{})}
		var others sync.WaitGroup
		others.Go(func() { f.wander(t, s) })
		long, all := payload(t, 6<<20)
		others.Go(func() { // for longer than a transaction may be silent
			// One that was cut off by the deaths, on a busy machine, goes on with the same command.
			var r report
			sent := func() bool {
				r = f.send(context.Background(), long, "--rate", "4M", "--deadline", "90s")
				return r.code == 0
			}
			if !eventually(sent) {
				t.Errorf("a slow transfer: %+v", r)
			}
			s.note(all, r)
		})
		file, some := payload(t, 16<<20)
		tid := f.abandon(t, file, int64(len(some)))
		for k := range 6 {
			s.wg.Go(func() { s.work(k) })
		}
		f.deaths(t)
		s.finish()
		others.Wait()
		if !eventually(func() bool { return f.state(tid) == engine.Kept }) {
			t.Errorf("what was abandoned is not kept, but %q", f.state(tid))
			f.tell(tid)
		}
		var r report
		eventually(func() bool {
			r = f.send(t.Context(), file, "--resume", fmt.Sprint(tid), "--deadline", "90s")
			return r.code == 0
		})
		if s.note(some, r); r.code != 0 || r.Resumed == 0 {
			t.Errorf("resumed: %+v", r)
		}
		s.audit(t)
		if !slices.ContainsFunc(s.all, func(p *sent) bool { return p.key && p.code == 0 }) {
			t.Error("no sealed client was told complete")
		}
		for _, p := range append(f.orchestrators, f.receivers...) {
			others.Go(func() {
				if code := p.term(); code != 0 {
					t.Errorf("%s ends with %d", p.room.Name, code)
				}
			})
		}
		others.Wait()
	})
}

// wander sets a receiver's clock to and fro until the senders are told to stop.
func (f *fleet) wander(t *testing.T, s *senders) {
	for n := 0; ; n++ {
		if err := f.apart["recv3"].Set([]time.Duration{9, -9, 0, 30}[n%4] * time.Minute); err != nil {
			t.Error(err)
			return
		}
		select {
		case <-s.stop:
			return
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// abandon has a client die in the middle of such a payload, and gives its transaction. What came of
// it by then is flushed.
func (f *fleet) abandon(t *testing.T, file string, size int64) (tid int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var dying sync.WaitGroup
	dying.Go(func() { f.deliver(ctx, file, "--rate", "2M", "--deadline", "90s") })
	come := func() bool {
		all, _ := f.look.Unsettled(ctx)
		for _, e := range all {
			if e.Record.Bytes == size {
				tid = e.Record.TID
			}
		}
		journals, _ := filepath.Glob(filepath.Join(f.dir, fmt.Sprint(tid, ".*.journal")))
		return len(journals) > 0
	}
	if !eventually(come) {
		t.Fatal("nothing comes of what is to be abandoned")
	}
	cancel()
	dying.Wait()
	return tid
}

// state is how far a transaction has come; empty where that is not known now.
func (f *fleet) state(tid int64) engine.State {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, _, err := f.look.Get(ctx, tid)
	if err != nil {
		return ""
	}
	return r.State
}

// eventually waits until something is so.
func eventually(is func() bool) bool {
	for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
		if is() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// deaths kills an orchestrator, a receiver and the engine's server that leads the registry, so that
// another does by another clock. Of the receivers those are offered that live, and no others; and all
// that were killed come back.
func (f *fleet) deaths(t *testing.T) {
	dead, lives := f.receivers[0], f.orchestrators[1]
	dead.kill()
	f.orchestrators[0].kill()
	leads := f.leader(t)
	leads.Kill()
	var want []string
	for _, p := range f.receivers[1:] {
		want = append(want, p.room.Addr)
	}
	var hosts []string
	for end := time.Now().Add(patience); !slices.Equal(hosts, want); <-time.After(500 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("offered is %v, and %v live", hosts, want)
			break
		}
		hosts = offered(t, lives.room.Addr, 5*time.Second)
		slices.Sort(hosts)
	}
	for _, start := range []func() error{leads.Start, dead.start, f.orchestrators[0].start} {
		if err := start(); err != nil {
			t.Fatal(err)
		}
	}
	f.await(2, 4)
}

// leader is the server that leads the registry.
func (f *fleet) leader(t *testing.T) *engines.Server {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		for _, s := range f.view().Streams {
			for _, is := range f.engines.Servers {
				if s.Leader == is.Name && strings.HasSuffix(s.Name, "_parties") {
					return is
				}
			}
		}
	}
	t.Fatal("nobody leads the registry")
	return nil
}
