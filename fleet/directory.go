package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"mdalp/fleet/engine"
	"mdalp/internal/disk"
)

// tokenName is the file that tells one fleet's directory from any other.
const tokenName = ".fleet"

// ErrNoToken is the error of a directory whose token is about to be written, or was by a process
// that died of it.
var ErrNoToken = errors.New("it has no token; if nobody is starting just now, remove it")

// ErrDirectory is the error of a directory that is not the fleet's.
var ErrDirectory = errors.New("it is not the directory that the fleet has")

// Token reads the token of a directory, and makes it fresh, letters and digits that nobody else
// has, where there is none. It fails as the directory does.
func Token(f disk.Folder, fresh string) (string, error) {
	g, err := f.Make(tokenName, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return readToken(f)
	}
	if err != nil {
		return "", err
	}
	_, err = g.WriteAt([]byte(fresh+"\n"), 0)
	if err == nil {
		err = g.Sync()
	}
	g.Close()
	if err == nil {
		err = f.Flush()
	}
	if err != nil {
		f.Remove(tokenName)
		return "", err
	}
	return fresh, nil
}

func readToken(f disk.Folder) (token string, err error) {
	g, err := f.Open(tokenName, os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer g.Close()
	b := make([]byte, 128)
	n, err := g.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	token, whole := strings.CutSuffix(string(b[:n]), "\n")
	if !whole || token == "" { // whoever makes it is about to write it, or died
		return "", fmt.Errorf("%s: %w", f.Full(tokenName), ErrNoToken)
	}
	return token, nil
}

// Join gives the token of a directory once it is known to be the fleet's: the first of all
// makes it that. Who tries again has the same fresh. It fails with [ErrDirectory], and as the
// engine and the directory do.
func Join(ctx context.Context, e engine.Registry, f disk.Folder, fresh string) (string, error) {
	mine, err := Token(f, fresh)
	if err != nil {
		return "", err
	}
	fleets, err := e.Token(ctx, mine)
	if err != nil {
		return "", err
	}
	if fleets != mine {
		if mine == fresh { // made in a folder of somebody else's, or one on which nothing is mounted
			f.Remove(tokenName)
		}
		return "", fmt.Errorf("%s: %w: its token is %s, the fleet's %s", f.Path(), ErrDirectory,
			mine, fleets)
	}
	return mine, nil
}
