package shared

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// keeper is a fleet: its token is that of whoever came first.
type keeper struct {
	mu    sync.Mutex
	token string
	err   error
}

func (k *keeper) Token(_ context.Context, mine string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return "", k.err
	}
	if k.token == "" {
		k.token = mine
	}
	return k.token, nil
}

// All who begin at once in one directory are of one fleet, and leave one file.
func TestJoin(t *testing.T) {
	dir, k := t.TempDir(), new(keeper)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			token, err := Join(t.Context(), dir, k)
			if err == nil {
				err = Check(dir, token)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if all, _ := filepath.Glob(filepath.Join(dir, File+"*")); len(all) != 1 {
		t.Errorf("%q are left", all)
	}
}

// Another directory is refused, and stays as it was.
func TestJoinOther(t *testing.T) {
	k, first := new(keeper), t.TempDir()
	token, err := Join(t.Context(), first, k)
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	if _, err := Join(t.Context(), empty, k); !errors.Is(err, ErrOther) {
		t.Errorf("%v", err)
	}
	if _, err := Read(empty); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a token is left: %v", err)
	}
	other := t.TempDir()
	if _, err := Join(t.Context(), other, new(keeper)); err != nil {
		t.Fatal(err)
	}
	_, err = Join(t.Context(), other, k)
	if !errors.Is(err, ErrOther) || strings.Contains(err.Error(), token) {
		t.Errorf("%v", err)
	}
	if _, err := Read(other); err != nil {
		t.Errorf("another fleet's token is gone: %v", err)
	}
	if err := Check(other, token); !errors.Is(err, ErrOther) {
		t.Errorf("%v", err)
	}
}

func TestJoinErrors(t *testing.T) {
	away := errors.New("away")
	dir := t.TempDir()
	if _, err := Join(t.Context(), dir, &keeper{err: away}); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
	// The engine may have it: the next try has the same.
	if _, err := Read(dir); err != nil {
		t.Error(err)
	}
	if _, err := Join(t.Context(), filepath.Join(dir, "none"), new(keeper)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, File), []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), dir, new(keeper)); err == nil || errors.Is(err, ErrOther) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(filepath.Join(dir, File)); err != nil {
		t.Fatal(err)
	}
	if err := Check(dir, "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
