package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mdalp/cmd/internal/progress"
	"mdalp/cmd/internal/usage"
	"mdalp/seal"
)

// newKey is the command that makes a key.
func newKey() *cobra.Command {
	comment := ""
	c := &cobra.Command{
		Use:   "key FILE | key >FILE",
		Short: "Make a key for sealed transactions",
		Long: `Make a key for sealed transactions: 32 random bytes in base64, behind a comment line. The
client that is given it (--key FILE) and the server that has it too prove that to one
another, and whatever is sent between them nobody else can read or change.

FILE is made with mode 0600; one that is there already stays as it is. Standard output, if it
is a file, is given mode 0600 too, and has to be empty: but the shell's > has emptied a
file before this command can look at it, and until then others may open it. So name the
file, or use > within a folder that is yours alone. On a terminal, where everybody
behind you could read it, only "mdalp key -" prints a key.

Whoever has the file is a client, and can play the server: copy it as you would a password.
The 8 digits that are printed are the key's ID, which is no secret.

The exit code is 0 if the key was made, 2 if the command line is wrong, 4 if it cannot be
written.`,
		Example: `  mdalp key office.key
  ssh server 'umask 077; cat >office.key' <office.key
  mdalp key | systemd-creds encrypt --name office - /etc/credstore.encrypted/office`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage.Errorf("unexpected argument %q: a key has one file", args[1])
			}
			if len(args) == 1 && args[0] == "" {
				return usage.Errorf("the name of the key file is empty")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := fromEnvironment(c.Flags()); err != nil {
				return err
			}
			k, err := seal.NewKey(rand.Reader)
			if err != nil {
				return err
			}
			text := seal.FormatKey(k, cmp.Or(comment, "mdalp key "+k.ID()+", made "+
				time.Now().Format(time.DateOnly)+". Keep it secret: whoever has it is a client."))
			if len(args) == 1 && args[0] != "-" {
				return keyFile(args[0], k, text)
			}
			return printKey(text, len(args) == 1)
		},
	}
	c.Flags().StringVar(&comment, "comment", "", "`text` of the comment line (default: ID and date)")
	return c
}

// keyFile writes a key to a file that is not there yet. One that could not be written whole
// is removed: half a key would only be in the way.
func keyFile(name string, k seal.Key, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: it is there already, and may be in use: name another file", name)
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, usage.File(err))
	}
	if err = private(f); err == nil {
		_, err = f.Write(text)
	}
	if err = cmp.Or(err, f.Sync(), f.Close()); err != nil {
		os.Remove(name)
		return fmt.Errorf("%s: %w", name, usage.File(err))
	}
	return toStdout(fmt.Appendf(nil, "%s: key %s\n", usage.Text(name), k.ID()))
}

// printKey writes a key to standard output. asked says that it was told to do so, terminal
// or not.
func printKey(text []byte, asked bool) error {
	info, err := os.Stdout.Stat()
	if err != nil {
		return fmt.Errorf("standard output: %w", usage.File(err))
	}
	switch {
	case progress.IsTerminal(os.Stdout) && !asked:
		return usage.Errorf("a key would show on this terminal: mdalp key FILE writes it to a file")
	case !info.Mode().IsRegular():
		return toStdout(text)
	case info.Size() > 0:
		return errors.New("standard output: there is something in the file already: name another file")
	}
	if err := private(os.Stdout); err != nil {
		return fmt.Errorf("standard output: %w", usage.File(err))
	}
	return toStdout(text)
}

// private takes a file from everybody but its owner, and looks whether that worked: some
// file systems have no modes, and some say that all is well.
func private(f *os.File) error {
	changed := f.Chmod(0o600)
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others may read the file (mode %04o): %w; make it elsewhere",
			info.Mode().Perm(), cmp.Or(usage.File(changed), errors.New("its file system has no modes")))
	}
	return err
}
