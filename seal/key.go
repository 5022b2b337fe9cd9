// Package seal keeps transactions from whoever is on the path: with a key that both ends
// hold, nobody else can read a payload, change it, or take part.
package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// KeySize is the length of a key, in bytes.
const KeySize = 32

// Key is the secret that both ends of a sealed transaction hold. Whoever holds it is a
// client and a server; it does not tell its holders from one another. However it is
// printed or logged, what shows is its [Key.ID].
type Key [KeySize]byte

// NewKey draws a key. random is a source of secrets, such as crypto/rand's Reader; its
// errors are returned.
func NewKey(random io.Reader) (k Key, err error) {
	if _, err = io.ReadFull(random, k[:]); err != nil {
		return Key{}, fmt.Errorf("no randomness for a key: %w", err)
	}
	return k, nil
}

// ID names a key without telling it: the first 8 hex digits of its SHA-256. It is no
// secret, and stands at the front of every sealed transaction.
func (k *Key) ID() string {
	sum := sha256.Sum256(k[:])
	return hex.EncodeToString(sum[:4])
}

// Format shows the ID in place of the key, whatever the verb: a key must not come into a
// log because somebody printed a Config.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, "key "+k.ID()) }

// MarshalText gives the ID, for the same reason: JSON and slog ask for it. [FormatKey]
// gives the key.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.ID()), nil }

// FormatKey gives the text of a key file: the comment, each of its lines after "# ", then
// the key in base64 (RFC 4648, section 4) on a line of its own.
func FormatKey(k Key, comment string) []byte {
	var b []byte
	for line := range strings.Lines(comment) {
		b = append(b, "# "...)
		b = append(b, strings.TrimRight(line, "\r\n")...)
		b = append(b, '\n')
	}
	b = base64.StdEncoding.AppendEncode(b, k[:])
	return append(b, '\n')
}

// What is wrong with the text of a key file. None of these tells anything of what is in it.
var (
	errNoKey   = errors.New("there is no key in it")
	errTwoKeys = errors.New("there is more than one key in it, and a file holds one")
	errNotKey  = errors.New("a line of it is no comment (#) and no key, which is 44 characters of base64")
	errWeak    = errors.New("the key in it is one byte over and over, so anybody can guess it")
)

// ParseKey reads the text of a key file: lines that are empty or begin with # mean
// nothing, and one line is the key in base64 (RFC 4648, section 4). Blanks around a line are
// dropped. An error says what is wrong, and nothing of the text.
func ParseKey(b []byte) (k Key, err error) {
	found := false
	for line := range bytes.Lines(b) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if found {
			return Key{}, errTwoKeys
		}
		raw, err := base64.StdEncoding.Strict().AppendDecode(nil, line)
		if err != nil || len(raw) != KeySize {
			return Key{}, errNotKey
		}
		k, found = Key(raw), true
	}
	switch {
	case !found:
		return Key{}, errNoKey
	case bytes.Count(k[:], k[:1]) == KeySize:
		return Key{}, errWeak
	}
	return k, nil
}

// maxKeyFile and maxKeyLog bound what is read, in bytes: a wrong path must not read a disk.
const (
	maxKeyFile = 64 << 10
	maxKeyLog  = 16 << 20
)

// ReadNamedKey is [ReadKeyFile] of NAME=FILE. A file alone gives its name, without .key at its
// end; a path may have a = too.
func ReadNamedKey(given string) (name string, k Key, err error) {
	name, path, ok := strings.Cut(given, "=")
	if !ok || strings.Contains(name, "/") {
		name, path = strings.TrimSuffix(filepath.Base(given), ".key"), given
	}
	k, err = ReadKeyFile(path)
	return name, k, err
}

// ReadKeyFile reads a key from a file, or from a pipe such as the shell's <(command). A
// file that anybody but its owner may read or write is refused: its key is no secret. The
// error is one line: the path, what is wrong, and what mends it. It wraps that of the
// system, if that is the cause.
func ReadKeyFile(path string) (Key, error) {
	text, err := readSecret(path, maxKeyFile)
	if err != nil {
		return Key{}, err
	}
	k, err := ParseKey(text)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w; copy it again, or make a new key for both ends with mdalp key",
			path, err)
	}
	return k, nil
}

// ReadKeyOrLog reads a key file, as [ReadKeyFile] does, or a key log, whichever it is. The
// key is nil for a log.
func ReadKeyOrLog(path string) (*Key, []*Secret, error) {
	text, err := readSecret(path, maxKeyLog)
	if err != nil {
		return nil, nil, err
	}
	if IsKeyLog(text) {
		all, err := ParseKeyLog(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		return nil, all, nil
	}
	k, err := ParseKey(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w; name a key file, or what send --key-log wrote", path, err)
	}
	return &k, nil, nil
}

// readSecret reads a file of at most most bytes that nobody but its owner may read.
func readSecret(path string, most int64) ([]byte, error) {
	// Without O_NONBLOCK a named pipe that nobody writes to would be waited for, for good.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s: %w; make a key with: mdalp key %s", path, reason(err), quote(path))
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%s: %w; it has to belong to who reads it: chown it", path, reason(err))
	case err != nil:
		return nil, fmt.Errorf("%s: %w; name a key file, as mdalp key makes it", path, reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, reason(err))
	}
	mode := info.Mode()
	switch {
	case mode.IsDir():
		return nil, fmt.Errorf("%s: it is a directory; name the key file in it", path)
	case mode.Perm()&othersMay(path) != 0:
		return nil, fmt.Errorf("%s: others may read or write it (mode %04o); if nobody did: chmod 600 %s",
			path, mode.Perm(), quote(path))
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, reason(err))
	case int64(len(text)) > most:
		return nil, fmt.Errorf("%s: it is too large for a key file; name one that mdalp key made", path)
	}
	return text, nil
}

// othersMay are the mode bits that a key file must not have. systemd gives a service its
// credentials by an access control list, whose mask shows in the bits of the group, and
// keeps the directory from everybody else (systemd.exec(5), LoadCredential).
func othersMay(path string) os.FileMode {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(path) == filepath.Clean(dir) {
		return 0o037
	}
	return 0o077
}

// reason is a system's error without the name of the call and the path.
func reason(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// quote makes a path fit for a shell, so that the command in an error can be copied.
func quote(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	if path != "" && strings.Trim(path, nameLetters+"/+,:@%") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
