package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/model"
	"mdalp/internal/disk"
	"mdalp/internal/sim"
	"mdalp/server"
	"mdalp/wire"
)

// A namesWorld is orchestrators over a directory of the kernel's, with the engine of the
// simulation. Its one receiver is gone: what came is in its journal.
type namesWorld struct {
	t      *testing.T
	world  *sim.World
	m      *model.Model
	dir    string
	linked bool // a file gets another name by a second one, as with NFS
	left   int  // steps until the first orchestrator is killed
	first  *model.Life
}

// step is where a process may be killed.
func (w *namesWorld) step() {
	if w.left--; w.left == 0 {
		w.first.Kill()
	}
	w.m.Step()
}

// A heldFolder is the directory; who uses it may be killed before whatever changes it.
type heldFolder struct {
	disk.Folder
	w *namesWorld
}

func (f heldFolder) Rename(from, to string) error {
	f.w.step()
	if !f.w.linked {
		return f.Folder.Rename(from, to)
	}
	if err := f.Folder.Link(from, to); err != nil {
		return err
	}
	f.w.step()
	return f.Folder.Remove(from)
}

func (f heldFolder) Remove(name string) error { f.w.step(); return f.Folder.Remove(name) }
func (f heldFolder) Flush() error             { f.w.step(); return f.Folder.Flush() }

func newNamesWorld(t *testing.T) *namesWorld {
	w := &namesWorld{t: t, dir: t.TempDir(), world: sim.New(sim.Config{Seed: 1, Limit: time.Hour})}
	w.m = model.New(w.world, sim.Epoch, 1, model.Faults{Delay: time.Millisecond})
	w.m.Wrote = func(*engine.Record) {
		if w.left--; w.left == 0 {
			w.first.Kill()
		}
	}
	t.Cleanup(w.m.Close)
	return w
}

// A namesOrch is an orchestrator there.
type namesOrch struct {
	*store
	w    *namesWorld
	life *model.Life
}

func (w *namesWorld) orch(id string, names bool) *namesOrch {
	f, err := disk.View(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(f.Close)
	life := w.m.Life(func(func(time.Time)) {})
	o, err := NewOrchestrator(OrchestratorConfig{Engine: w.m.Client(life), Folder: heldFolder{f, w}, ID: id, Names: names,
		Beside: life.Beside, Pause: w.m.Pause})
	if err != nil {
		w.t.Fatal(err)
	}
	return &namesOrch{o.store, w, life}
}

// do runs f beside its loop, until it is through, or the process dead.
func (o *namesOrch) do(f func()) {
	o.w.t.Helper()
	done := false
	o.life.Beside(func() func(time.Time) { f(); done = true; return nil })
	for !done && !o.life.Dead() {
		if err := o.w.world.Advance(10 * time.Millisecond); err != nil {
			o.w.t.Fatal(err)
		}
	}
}

const namesSegment = 1000

func namesMeta(tid int64, name string) server.Meta {
	return server.Meta{TID: tid, Segment: namesSegment, Name: name, Client: netip.MustParseAddrPort("192.0.2.1:5000")}
}

// begin offers a transaction.
func (o *namesOrch) begin(m server.Meta) error {
	if _, err := o.Create(m.TID, m.Segment); err != nil {
		return err
	}
	o.find(m.TID).rec.Receivers = []engine.Station{{ID: "r1", Addr: m.Client}}
	return o.introduce(m)
}

// fill has the receiver write a payload, and its journal say so.
func (o *namesOrch) fill(m server.Meta, payload []byte) error {
	f, err := os.OpenFile(filepath.Join(o.w.dir, server.PartName(m.TID)), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(payload); err != nil {
		return err
	}
	last := (int64(len(payload)) - 1) / namesSegment
	file, err := o.identity(server.PartName(m.TID), "")
	if err != nil {
		return err
	}
	return o.shared.Leave(m, int64(len(payload)), "r1", file, []wire.Range{{First: 0, Last: last}})
}

// settle publishes it.
func settle(p server.Place, payload []byte) (path string, err error) {
	if _, err = p.(server.Gatherer).Gather(false, true); err != nil {
		return "", err
	}
	sum := sha256.Sum256(payload)
	_, path, err = p.Publish(&sum)
	return path, err
}

// send is a whole transaction; change is called when its payload is there.
func (o *namesOrch) send(m server.Meta, payload []byte, change func()) (path string, err error) {
	if err = o.begin(m); err != nil {
		return "", err
	}
	p, err := o.Place(m, int64(len(payload)))
	if err != nil {
		return "", err
	}
	if err = o.fill(m, payload); err != nil {
		return "", err
	}
	change()
	return settle(p, payload)
}

// files are those of the directory.
func (w *namesWorld) files() map[string]string {
	all := make(map[string]string)
	es, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range es {
		b, err := os.ReadFile(filepath.Join(w.dir, e.Name()))
		if err != nil {
			w.t.Error(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

// want fails unless there are just these files.
func (w *namesWorld) want(what string, files map[string]string) {
	w.t.Helper()
	if all := w.files(); !maps.Equal(all, files) {
		w.t.Errorf("%s: there are %q, and not %q", what, slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(files)))
	}
}

// complete fails unless the ledger says that a transaction is, with that file.
func (w *namesWorld) complete(what string, tid int64, file string) {
	w.t.Helper()
	if r := w.m.Record(tid); r == nil || r.State != engine.Complete || r.File != file {
		w.t.Errorf("%s: %q is wanted, and the record is %+v", what, file, r)
	}
}

// Clients may give names, each as it likes: files are called by number and name, and one that is
// sent again, or whose name another has too, is another file.
func TestNames(t *testing.T) {
	w := newNamesWorld(t)
	named, plain := w.orch("o1", true), w.orch("o2", false)
	want := make(map[string]string)
	for tid, c := range []struct {
		o          *namesOrch
		name, file string
	}{
		{named, "report.pdf", "0-report.pdf"},
		{named, "report.pdf", "1-report.pdf"},
		{plain, "report.pdf", "2.bin"},
		{named, "", "3.bin"},
		{named, "../../etc/passwd", "4-.._.._etc_passwd"},
		{named, ".fleet", "5-.fleet"},
		{named, "7.part", "6-7.part"},
		{named, strings.Repeat("x", 255), "7-" + strings.Repeat("x", 253)},
	} {
		payload := bytes.Repeat([]byte{byte('a' + tid)}, 2500)
		m := namesMeta(int64(tid), c.name)
		c.o.do(func() {
			if path, err := c.o.send(m, payload, func() {}); err != nil || path != filepath.Join(w.dir, c.file) {
				t.Errorf("%q: %q, %v", c.name, path, err)
			}
		})
		want[c.file] = string(payload)
		w.complete(c.name, m.TID, c.file)
	}
	w.want("at the end", want)
}

// Two orchestrators settle two transactions of one name at the same time.
func TestNamesAtOnce(t *testing.T) {
	w := newNamesWorld(t)
	want, left := make(map[string]string), 2
	for tid := range int64(2) {
		o := w.orch(fmt.Sprint("o", tid), true)
		payload := bytes.Repeat([]byte{byte('a' + tid)}, 2500)
		want[fmt.Sprint(tid, "-n")] = string(payload)
		o.life.Beside(func() func(time.Time) {
			if _, err := o.send(namesMeta(tid, "n"), payload, func() {}); err != nil {
				t.Error(err)
			}
			left--
			return nil
		})
	}
	for left > 0 {
		if err := w.world.Advance(10 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	w.want("at the end", want)
}

// Whoever can write in the ledger, or in the directory, has no file replaced, or written elsewhere.
func TestNamesForged(t *testing.T) {
	for _, forged := range []string{
		"../x", "/tmp/x", ".fleet", ".", "..", "1.part", "1.r1.journal", "2-x", "2.bin", "2.part", "1-a/b", "1-a\x00b", "1-",
		"1-a\nb",
	} {
		w := newNamesWorld(t)
		want := map[string]string{".fleet": "token\n", "2.bin": "another's", "2.part": "another's", "2-x": "another's"}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o, heir := w.orch("o1", true), w.orch("o2", true)
		m, payload := namesMeta(1, "n"), bytes.Repeat([]byte("x"), 2500)
		o.do(func() {
			o.send(m, payload, func() { o.life.Kill(); w.m.Step() })
		})
		heir.do(func() {
			r, rev, err := heir.engine.Get(context.Background(), 1)
			if err != nil {
				t.Error(err)
				return
			}
			r.File = forged
			if rev, err = heir.engine.Update(context.Background(), r, rev); err != nil {
				t.Error(err)
			}
			f, err := heir.take(r, rev)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := settle(f.Place, payload); err != nil {
				t.Errorf("%q: %v", forged, err)
			}
		})
		want["1.bin"] = string(payload)
		w.want(forged, want)
		w.complete(forged, 1, "1.bin")
	}
}

// A file that a stranger has put under the name stays what it is, and the payload is there to be
// resumed where that is seen.
func TestNamesTaken(t *testing.T) {
	for _, c := range []struct {
		theirs string
		err    error
		state  engine.State
	}{
		{"short", fs.ErrExist, engine.Settling},
		{strings.Repeat("y", 2500), server.ErrDamaged, engine.Damaged},
	} {
		w := newNamesWorld(t)
		o, payload := w.orch("o1", true), bytes.Repeat([]byte("x"), 2500)
		o.do(func() {
			_, err := o.send(namesMeta(1, "n"), payload, func() {
				if err := os.WriteFile(filepath.Join(w.dir, "1-n"), []byte(c.theirs), 0o600); err != nil {
					t.Error(err)
				}
			})
			if !errors.Is(err, c.err) {
				t.Errorf("%v instead of %v", err, c.err)
			}
		})
		if r := w.m.Record(1); r.State != c.state {
			t.Errorf("%+v", r)
		}
		if all := w.files(); all["1-n"] != c.theirs || all["1.part"] != string(payload) {
			t.Errorf("there are %q", slices.Sorted(maps.Keys(all)))
		}
	}
}

// One that is complete is resumed: the payload has both names.
func TestNamesResumed(t *testing.T) {
	w := newNamesWorld(t)
	o, payload := w.orch("o1", true), bytes.Repeat([]byte("x"), 2500)
	o.do(func() {
		if _, err := o.send(namesMeta(1, "n"), payload, func() {}); err != nil {
			t.Error(err)
		}
		m := namesMeta(2, "n")
		if err := o.begin(m); err != nil {
			t.Error(err)
		}
		p, have, err := o.Resume(m, 1, int64(len(payload)))
		if err != nil || !slices.Equal(have, []wire.Range{{First: 0, Last: 2}}) {
			t.Errorf("%v, %v", have, err)
			return
		}
		if _, err := settle(p, payload); err != nil {
			t.Error(err)
		}
	})
	w.want("at the end", map[string]string{"1-n": string(payload), "2-n": string(payload)})
	w.complete("the first", 1, "1-n")
	w.complete("the second", 2, "2-n")
}

// An orchestrator dies at any step between the offer and complete, and one that gives no names
// itself goes on. The payload has the name that stands in the ledger, and no other.
func TestNamesDying(t *testing.T) {
	for _, linked := range []bool{false, true} {
		died, kept := 0, 0
		for k := 1; ; k++ {
			w := newNamesWorld(t)
			w.linked, w.left = linked, k
			o, heir := w.orch("o1", true), w.orch("o2", false)
			w.first = o.life
			m, payload := namesMeta(1, "n"), bytes.Repeat([]byte("x"), 2500)
			o.do(func() {
				if _, err := o.send(m, payload, func() {}); err != nil {
					t.Error(err)
				}
			})
			file := "1-n"
			if o.life.Dead() {
				died++
				if r := w.m.Record(1); r.State == engine.Created { // none was decided yet
					file = "1.bin"
				} else {
					kept++
				}
				heir.do(func() { heir.inherit(m, payload) })
			}
			what := fmt.Sprintf("linked %v, killed at step %d", linked, k)
			w.complete(what, 1, file)
			all := w.files()
			delete(all, server.JournalName(1, "r1")) // it may have died before that went
			if len(all) != 1 || all[file] != string(payload) {
				t.Errorf("%s: there are %q", what, slices.Sorted(maps.Keys(all)))
			}
			if !o.life.Dead() {
				break
			}
		}
		if died < 8 || kept < 6 {
			t.Errorf("it died %d times, %d of them with a name", died, kept)
		}
	}
}

// inherit goes on with a transaction, as its client has it.
func (o *namesOrch) inherit(m server.Meta, payload []byte) {
	t := o.w.t
	r, rev, err := o.engine.Get(context.Background(), m.TID)
	if err != nil || r.State.Ended() {
		if err != nil {
			t.Error(err)
		}
		return
	}
	f, err := o.take(r, rev)
	if err != nil {
		t.Error(err)
		return
	}
	p := f.Place
	if p == nil {
		if p, err = o.Place(m, int64(len(payload))); err != nil {
			t.Error(err)
			return
		}
	}
	if len(f.Have) == 0 { // it died before anything had come
		if err = o.fill(m, payload); err != nil {
			t.Error(err)
			return
		}
	}
	if _, err := settle(p, payload); err != nil {
		t.Error(err)
	}
}

// An orchestrator died between the second name of a complete payload and the opening of what resumes
// it, and its client begins anew: nothing is written to what was told complete.
func TestResumeCameNoFurther(t *testing.T) {
	w := newNamesWorld(t)
	o, payload, other := w.orch("o1", false), bytes.Repeat([]byte("x"), 2500), bytes.Repeat([]byte("y"), 2500)
	o.do(func() {
		if _, err := o.send(namesMeta(1, ""), payload, func() {}); err != nil {
			t.Error(err)
		}
		if err := os.Link(filepath.Join(w.dir, "1.bin"), filepath.Join(w.dir, "2.part")); err != nil {
			t.Error(err)
		}
		if _, err := o.send(namesMeta(2, ""), other, func() {}); err != nil {
			t.Error(err)
		}
	})
	w.want("at the end", map[string]string{"1.bin": string(payload), "2.bin": string(other)})
}
