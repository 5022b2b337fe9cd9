package server

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What the process under test stores: transactions of so many segments.
const (
	killedSegment = 500
	killedMost    = 60
)

func killedSegments(tid int64) int64 { return 1 + tid*37%killedMost }

func init() {
	// store goes on with what it finds, and then with new transactions, four at a time,
	// until it is killed. It tells of every segment once it is stored.
	roles["store"] = func(args []string) {
		fmt.Fprintln(os.Stderr, storeForEver(args[0]))
		os.Exit(1)
	}
}

func storeForEver(path string) error {
	d, err := NewDir(path, DirOptions{Reserve: -1})
	if err != nil {
		return err
	}
	rs, err := d.Recover()
	if err != nil {
		return err
	}
	for _, r := range rs {
		if r.Err != nil {
			return r.Err
		}
		stored := make(map[int64]bool)
		for rec, err := range r.Segments {
			if err != nil {
				return err
			}
			stored[rec.Seq] = true
		}
		if err := fill(r.Spool, r.TID, stored); err != nil {
			return err
		}
	}
	for tid := int64(1); ; tid++ {
		sp, err := d.Create(tid, killedSegment)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		sp.Begin(Meta{TID: tid, Segment: killedSegment, Client: spoolClient, Offered: spoolTime})
		if err := fill(sp, tid, nil); err != nil {
			return err
		}
	}
}

// fill stores what is missing, the last first, and publishes. Every fifth transaction
// is left as it is.
func fill(sp Spool, tid int64, stored map[int64]bool) error {
	n := killedSegments(tid)
	for seq := n - 1; seq >= 0; seq-- {
		if stored[seq] {
			continue
		}
		b := piece(tid, seq, killedSegment)
		if err := sp.Put(seq, int(seq%3), b, Sum(b)); err != nil {
			return err
		}
		fmt.Println("stored", tid, seq)
	}
	if tid%5 == 0 {
		return nil
	}
	if _, err := sp.Assemble(all(n)); err != nil {
		return err
	}
	fmt.Println("assembled", tid, 0)
	if _, err := sp.Publish(false); err != nil {
		return err
	}
	fmt.Println("published", tid, 0)
	return nil
}

// Killed at any moment, a process leaves every segment that it told of, intact, and no
// payload but whole ones; the next process goes on from there.
func TestKilled(t *testing.T) {
	path := t.TempDir()
	stored := make(map[int64]map[int64]bool)
	published := make(map[int64]bool)
	spools, payloads := 0, 0
	for round := range 40 {
		cmd := exec.Command(os.Args[0], path)
		cmd.Env = append(os.Environ(), roleVariable+"=store")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		take := func() {
			var what string
			var tid, seq int64
			if _, err := fmt.Sscan(lines.Text(), &what, &tid, &seq); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			if stored[tid] == nil {
				stored[tid] = make(map[int64]bool)
			}
			stored[tid][seq] = stored[tid][seq] || what == "stored"
			published[tid] = published[tid] || what == "published"
		}
		for range 1 + round*23%97 {
			if lines.Scan() {
				take()
			}
		}
		// A different moment every time, without a clock: after a bit of work.
		sha256.Sum256(make([]byte, round%7*100_000))
		cmd.Process.Kill()
		for lines.Scan() {
			take()
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("not killed: %v", err)
		}

		es, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		whole := make(map[int64]bool)
		for _, e := range es {
			if stem, ok := strings.CutSuffix(e.Name(), wholeSuffix); ok {
				tid, _ := strconv.ParseInt(stem, 10, 64)
				holds(t, filepath.Join(path, e.Name()), pieces(tid, killedSegments(tid), killedSegment))
				whole[tid] = true
			}
		}
		d := newDir(t, path)
		rs, records := recovered(t, d)
		d.Close()
		found := make(map[int64]map[int64]bool)
		for i, r := range rs {
			if r.Err != nil || r.Client != spoolClient || !r.Offered.Equal(spoolTime) || r.Segment != killedSegment {
				t.Fatalf("%+v", r)
			}
			found[r.TID] = make(map[int64]bool)
			for _, rec := range records[i] {
				if b := piece(r.TID, rec.Seq, killedSegment); rec.Sum != Sum(b) || int(rec.Length) != len(b) || int64(rec.Receiver) != rec.Seq%3 {
					t.Fatalf("%d: %+v", r.TID, rec)
				}
				found[r.TID][rec.Seq] = true
			}
		}
		for tid, seqs := range stored {
			if published[tid] && !whole[tid] {
				t.Fatalf("round %d: %d was published, and is not there", round, tid)
			}
			for seq, told := range seqs {
				if told && !whole[tid] && !found[tid][seq] {
					t.Fatalf("round %d: segment %d of %d was stored, and is not there", round, seq, tid)
				}
			}
		}
		spools, payloads = spools+len(rs), len(whole)
	}
	if spools < 20 || payloads < 20 {
		t.Errorf("%d spools and %d payloads found: the rounds show nothing", spools, payloads)
	}
}
