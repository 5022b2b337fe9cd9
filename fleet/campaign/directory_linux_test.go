package campaign

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/fleet/engine"
)

// A directory that is full, or may not be written any more, has clients told so, and nothing
// told complete that is not there. With room and rights again, all goes on without a start.
func TestDirectory(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		f := open(t, options{engines: 1, orchestrators: 1, receivers: 2, room: "8m"})
		sends := func(when string, size int, well bool, deadline string) {
			t.Helper()
			file, b := payload(t, size)
			send := f.send
			if well {
				send = f.deliver
			}
			r := send(t.Context(), file, "--deadline", deadline)
			if (r.code == 0) != well || f.stored(b) != well {
				t.Errorf("%s: %d bytes: %+v, stored %v; all well is to be %v", when, size, r, f.stored(b), well)
			}
		}
		again := func(when string) {
			t.Helper()
			file, b := payload(t, 100_000)
			for end := time.Now().Add(patience); ; {
				r := f.send(t.Context(), file, "--deadline", "20s")
				if r.code == 0 && f.stored(b) {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("%s: %+v", when, r)
				}
			}
		}
		sends("with room", 100_000, true, patience.String())
		sends("without", 16<<20, false, "20s")
		again("with a smaller one")
		// Another program takes what is left: nobody is offered, and all are told.
		fill := filepath.Join(f.dir, "fill")
		if b := make([]byte, 16<<20); os.WriteFile(fill, b, 0o600) == nil {
			t.Fatal("there is room for all of it")
		}
		for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
			code, said := f.status(t, false)
			log, err := os.ReadFile(f.orchestrators[0].log)
			if err != nil {
				t.Fatal(err)
			}
			if code == 1 && strings.Contains(said, "2 receivers have no room") && strings.Contains(string(log),
				`"no receiver can be offered, intents wait" receivers=2 draining=0 without_room=2 `) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("status ends with %d: %s", code, said)
			}
		}
		if err := os.Remove(fill); err != nil {
			t.Fatal(err)
		}
		again("without the other's")
		// Who was refused for want of room has left nothing that is open.
		for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
			v := f.view()
			if v.Open[engine.Open] == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%v are open", v.Open)
			}
		}
		// What is open to be written to keeps a file system from becoming read-only.
		for _, p := range f.receivers {
			p.kill()
		}
		f.mount("size=8m", unix.MS_REMOUNT, unix.MS_RDONLY) // waits for what an orchestrator writes
		for _, p := range f.receivers {
			if err := p.start(); err != nil {
				t.Fatal(err)
			}
		}
		// Nobody is offered that can take nothing.
		for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
			room := int64(0)
			for _, p := range f.view().Parties {
				room += max(0, p.Free)
			}
			if room == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("read-only, and there is room for %d bytes", room)
			}
		}
		sends("read-only", 200_000, false, "4s")
		f.mount("size=8m", unix.MS_REMOUNT)
		again("with rights again")
		// An empty folder, on which the fleet's is not mounted, is none to join with.
		c := f.clients.Command(program(t, "mdalp-fleet"), "receiver", "--engine", f.engines.URL(), "--replicas", "1",
			"--id", "other", "--listen", f.clients.Addr, "--dir", t.TempDir())
		out, _ := c.CombinedOutput()
		if c.ProcessState.ExitCode() != 4 || !bytes.Contains(out, []byte("mount the fleet's directory there\n")) {
			t.Errorf("with another directory: %v: %s", c.ProcessState, out)
		}
		if whole, _ := filepath.Glob(filepath.Join(f.dir, "*.bin")); len(whole) < 3 {
			t.Errorf("%q", whole)
		}
	})
}
