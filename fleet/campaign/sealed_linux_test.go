package campaign

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/rooms"
	"mdalp/seal"
)

// keyFile makes a key in a file.
func keyFile(t *testing.T, name string) (path string) {
	t.Helper()
	k, err := seal.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, seal.FormatKey(k, ""), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sealedFleet is a fleet that takes nothing but what is sealed with a key.
func sealedFleet(t *testing.T) (f *fleet, key string) {
	o, key := keyed(t, options{engines: 1, orchestrators: 2, receivers: 3})
	return open(t, o), key
}

// A sealed payload arrives, by both orchestrators; who has another key, or none, is not served;
// and no key of it is anywhere in what the engine has stored.
func TestSealed(t *testing.T) {
	t.Parallel()
	rooms.Inside(t, func(t *testing.T) {
		f, key := sealedFleet(t)
		keyLog := filepath.Join(t.TempDir(), "log")
		var tids []int64
		for _, size := range []int{1, 3 << 20} {
			file, b := payload(t, size)
			r := f.deliver(t.Context(), file, "--key", key, "--key-log", keyLog)
			if r.code != 0 || !f.stored(b) {
				t.Fatalf("%d bytes: %+v, stored %v", size, r, f.stored(b))
			}
			tids = append(tids, r.Transaction)
		}
		file, b := payload(t, 5000)
		if r := f.send(t.Context(), file, "--key", keyFile(t, "other.key"), "--intent-timeout", "30s"); r.code != 3 {
			t.Errorf("with another key: %+v", r)
		}
		if r := f.send(t.Context(), file, "--intent-timeout", "2s"); r.code != 3 {
			t.Errorf("without a key: %+v", r)
		}
		if f.stored(b) {
			t.Error("what nobody may send is stored")
		}
		f.secretless(t, keyLog, tids)
	})
}

// secretless fails if a key of a transaction is in its record, or in the engine's files.
func (f *fleet) secretless(t *testing.T, keyLog string, tids []int64) {
	t.Helper()
	_, all, err := seal.ReadKeyOrLog(keyLog)
	// A transfer that a busy machine has broken off has keys, too.
	all = slices.DeleteFunc(all, func(x *seal.Secret) bool { return !slices.Contains(tids, x.TID) })
	if err != nil || len(all) != len(tids) {
		t.Fatalf("%d keys of %d transactions, %v", len(all), len(tids), err)
	}
	var dump []byte
	for i, tid := range tids {
		rec, err := f.record(tid)
		if err != nil || !rec.Sealed() || rec.Key != "office" || all[i].TID != tid {
			t.Fatalf("%+v, %v", rec, err)
		}
		for _, s := range rec.Receivers {
			if s.Seal == "" {
				t.Errorf("%s has no keys of transaction %d", s.ID, tid)
			}
		}
		dump = append(dump, rec.Marshal()...)
	}
	stored := len(dump)
	for _, s := range f.engines.Servers {
		err := filepath.WalkDir(s.Dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil // the engine goes on, and removes files
			}
			b, _ := os.ReadFile(path)
			dump = append(dump, b...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if record := []byte(fmt.Sprintf("\"tid\":\"%d\"", tids[0])); !bytes.Contains(dump[stored:], record) {
		t.Error("the files of the engine are somewhere else")
	}
	for _, x := range all {
		for _, transport := range [][]byte{x.Client[:], x.Server[:]} {
			secrets := [][]byte{transport}
			for _, n := range []string{"0", "1", "2", "65535"} {
				k, err := hkdf.Key(sha256.New, transport, nil, "mdalp channel "+n, 32)
				if err != nil {
					t.Fatal(err)
				}
				secrets = append(secrets, k)
			}
			for _, k := range secrets {
				// In base64 the letters depend on where it begins; 9 of its bytes are enough in each.
				for _, text := range []string{string(k), hex.EncodeToString(k), base64.StdEncoding.EncodeToString(k[:30]),
					base64.StdEncoding.EncodeToString(k[1:31]), base64.StdEncoding.EncodeToString(k[2:32])} {
					if strings.Contains(string(dump), text) {
						t.Errorf("a key of transaction %d is with the engine", x.TID)
					}
				}
			}
		}
	}
}

// When the orchestrator dies that has a sealed transaction, its client goes on with the other.
func TestSealedDying(t *testing.T) {
	t.Parallel()
	rooms.Inside(t, func(t *testing.T) {
		f, key := sealedFleet(t)
		for end := time.Now().Add(patience); ; {
			file, b := payload(t, 16<<20)
			ended := make(chan report, 1)
			go func() {
				ended <- f.deliver(t.Context(), file, "--key", key, "--rate", "32M")
			}()
			owner := f.began(t)
			dying := f.orchestrator(t, owner) // on a busy machine it may be either
			dying.kill()
			r := <-ended
			if r.code != 0 || !f.stored(b) {
				t.Fatalf("%+v, stored %v", r, f.stored(b))
			}
			rec, err := f.record(r.Transaction)
			if err != nil || !rec.Sealed() {
				t.Fatalf("%+v, %v", rec, err)
			}
			if rec.Owner != owner {
				return
			}
			// And it may be over before its owner dies.
			if time.Now().After(end) {
				t.Fatalf("%+v", rec)
			}
			if err := dying.start(); err != nil {
				t.Fatal(err)
			}
			f.await(2, 3)
		}
	})
}

// orchestrator is the one with such an ID.
func (f *fleet) orchestrator(t *testing.T, id string) *part {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		all, _ := f.look.Living(ctx)
		cancel()
		for _, is := range all {
			for _, p := range f.orchestrators {
				if is.Role == engine.Orchestrator && is.ID == id && is.Addr.Addr().String() == p.room.Addr {
					return p
				}
			}
		}
	}
	t.Fatalf("no orchestrator %q is there", id)
	return nil
}

// began waits until a payload has a place, and gives whose it is.
func (f *fleet) began(t *testing.T) (owner string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		all, err := f.look.Unsettled(ctx)
		cancel()
		if err != nil {
			continue
		}
		for _, e := range all {
			if e.Record.Bytes > 0 {
				return e.Record.Owner
			}
		}
	}
	t.Fatal("nothing began")
	return ""
}
