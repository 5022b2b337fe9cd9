// Package shared is about the directory that all of a fleet share: that it is there, and that
// it is the same for all. A token in it tells: two machines that see the same token have the
// same directory, or a copy that somebody made.
package shared

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// File is the name of the token's file.
const File = ".mdalp-fleet"

// ErrOther is the error of a directory that is not the fleet's.
var ErrOther = errors.New("it is not the directory of this fleet")

var form = regexp.MustCompile(`^[A-Z2-7]{26}$`) // crypto/rand.Text

// A Keeper knows the token of the fleet; [mdalp/fleet/engine.Registry] is one.
type Keeper interface {
	Token(ctx context.Context, mine string) (fleets string, err error)
}

// Join makes sure that dir is the directory of k's fleet, and gives its token. The first of a
// fleet makes the token. It fails with ErrOther where the fleet has another one; a token that
// was made in vain is taken away again, as in a folder that the directory should have been
// mounted on.
func Join(ctx context.Context, dir string, k Keeper) (string, error) {
	token, err := Read(dir)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		token, made, err = create(dir)
	}
	if err != nil {
		return "", err
	}
	fleets, err := k.Token(ctx, token)
	switch {
	case err != nil:
		// Whether it is the fleet's now, nobody has told: it stays.
		return "", err
	case fleets == token:
		return token, nil
	}
	if made {
		os.Remove(filepath.Join(dir, File)) // who comes next makes another one
	}
	return "", fmt.Errorf("%s: %w: it has token %s, the fleet's is %s; mount the fleet's directory there",
		dir, ErrOther, hint(token), hint(fleets))
}

// Check looks whether a directory that was joined is still there, with the same token: a mount
// may be gone, or another one be in its place.
func Check(dir, token string) error {
	now, err := Read(dir)
	if err != nil {
		return err
	}
	if now != token {
		return fmt.Errorf("%s: %w any more", dir, ErrOther)
	}
	return nil
}

// Read gives the token of a directory; it fails with fs.ErrNotExist when there is none.
func Read(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if !form.MatchString(token) {
		return "", fmt.Errorf("%s: it has no token in it: take the file away if the fleet is new",
			filepath.Join(dir, File))
	}
	return token, nil
}

// create makes a token, unless another is faster. The name is there with the text in it or not
// at all, since a link is made in one step.
func create(dir string) (token string, made bool, err error) {
	token = rand.Text()
	f, err := os.CreateTemp(dir, File+"-")
	if err != nil {
		return "", false, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(token + "\n")
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return "", false, err
	}
	switch err := os.Link(f.Name(), filepath.Join(dir, File)); {
	case errors.Is(err, fs.ErrExist):
		token, err := Read(dir)
		return token, false, err
	case err != nil:
		return "", false, err
	}
	return token, true, nil
}

// hint is enough of a token for people to compare.
func hint(token string) string { return token[:min(6, len(token))] + "..." }
