package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mdalp/cmd/internal/usage"
	"mdalp/server"
)

// errDamaged is the error of a store in which something is not as it was. What it is has
// been said.
var errDamaged = errors.New("not all of it is as it was stored")

// newStore is the command that looks after a store.
func newStore() *cobra.Command {
	c := &cobra.Command{
		Use:   "store ls|verify|rm DIR",
		Short: "See, check or remove what a store has",
		Long: `See, check or remove what the directory of --store has. ls and verify only read, also while a
server has the directory; what it is about to do may show in half then.

An entry is whole, partial (what came of an incomplete payload, put together), unfinished
(an extended payload of which segments are missing; its client may go on with it) or
unfinished base (segments as they came).`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage.Errorf("there is no command %q of store: it is ls, verify or rm", args[0])
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			return usage.Errorf("say what to do: store ls, verify or rm")
		},
	}
	var asJSON bool
	ls := &cobra.Command{
		Use: "ls DIR", Short: "List what a store has", Args: directory,
		RunE: func(_ *cobra.Command, args []string) error { return list(args[0], asJSON) },
	}
	ls.Flags().BoolVar(&asJSON, "json", false, "print a JSON object for each transaction, one a line")
	c.AddCommand(ls, &cobra.Command{
		Use: "verify DIR", Short: "Read all that a store has, and compare digests",
		Long: `Read all that a store has, and compare whole payloads with the digests that they were stored
with. Of those of the base protocol, and of the oldest where there are very many, no digest
is kept: they are told as unknown. The exit code is 1 if something is damaged.`,
		Args: directory,
		RunE: func(_ *cobra.Command, args []string) error { return verify(args[0]) },
	}, &cobra.Command{
		Use: "rm DIR TID...", Short: "Remove what a store has of transactions",
		Long: `Remove all that a store has of transactions, whole or not. No server may have the directory
meanwhile.`,
		Example: `  mdalpd store rm /var/lib/mdalpd 7 8`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage.Errorf("store rm: a directory and the numbers of transactions are needed")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return remove(args[0], args[1:]) },
	})
	return c
}

// directory wants one argument.
func directory(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage.Errorf("store %s: one directory is needed", c.Name())
	}
	return nil
}

// opened makes an error of a directory one that names it.
func opened(dir string, err error) error {
	if errors.Is(err, server.ErrLocked) {
		return fmt.Errorf("%w: end it first", err)
	}
	return fmt.Errorf("%s: %w", dir, usage.File(err))
}

// An entryJSON is a line of ls --json. Null is what is not known.
type entryJSON struct {
	TID      int64      `json:"tid"`
	Kind     string     `json:"kind"`
	Bytes    int64      `json:"bytes"`
	Size     *int64     `json:"size_bytes"`
	Modified time.Time  `json:"modified"`
	Client   *string    `json:"client"`
	Offered  *time.Time `json:"offered"`
	Name     string     `json:"name"`
	SHA256   *string    `json:"sha256"`
	Files    []string   `json:"files"`
	Error    *string    `json:"error"`
}

// newEntry makes the JSON of an entry.
func newEntry(e *server.Entry) entryJSON {
	j := entryJSON{TID: e.TID, Kind: e.Kind.String(), Bytes: e.Bytes, Modified: e.Modified,
		Name: e.Name, Files: e.Files}
	if e.Size > 0 {
		j.Size = &e.Size
	}
	if e.Client.IsValid() {
		s := e.Client.String()
		j.Client = &s
	}
	if !e.Offered.IsZero() {
		j.Offered = &e.Offered
	}
	if s := digest(e.SHA256); s != "-" {
		j.SHA256 = &s
	}
	if e.Err != nil {
		s := e.Err.Error()
		j.Error = &s
	}
	return j
}

// list prints what is there.
func list(dir string, asJSON bool) error {
	es, err := server.List(dir)
	if err != nil {
		return opened(dir, err)
	}
	out := bufio.NewWriter(os.Stdout)
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		for i := range es {
			if err := enc.Encode(newEntry(&es[i])); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "transaction\tkind\tbytes\tof\tmodified\tclient\tsha256\tfile")
	for i := range es {
		e := &es[i]
		fmt.Fprintf(w, "%d\t%v\t%d\t%s\t%s\t%s\t%s\t%s%s\n",
			e.TID, e.Kind, e.Bytes, size(e), e.Modified.Format(time.DateTime), told(e.Client),
			digest(e.SHA256), usage.Name(filepath.Base(e.Files[0])), wrong(e.Err))
	}
	w.Flush()
	return out.Flush()
}

// verify reads all that is there, a line for each.
func verify(dir string) error {
	es, err := server.List(dir)
	if err != nil {
		return opened(dir, err)
	}
	var damaged bool
	for i := range es {
		e := &es[i]
		sum, err := e.Verify()
		var what string
		switch {
		case err != nil:
			damaged = true
			what = "DAMAGED  " + usage.Line(err)
		case e.Kind != server.Whole:
			what = fmt.Sprintf("%v, %d bytes of %s", e.Kind, e.Bytes, size(e))
		case e.SHA256 == [sha256.Size]byte{}:
			what = "unknown  " + digest(sum) + "  no digest was kept"
		default:
			what = "ok       " + digest(sum)
		}
		if _, err := fmt.Printf("%s  %s\n", usage.Name(filepath.Base(e.Files[0])), what); err != nil {
			return err
		}
	}
	if damaged {
		return errDamaged
	}
	return nil
}

// remove removes transactions.
func remove(dir string, which []string) error {
	var tids []int64
	for _, w := range which {
		tid, err := strconv.ParseInt(w, 10, 64)
		if err != nil || tid < 0 {
			return usage.Errorf("store rm: %s is not the number of a transaction", usage.Shown(w))
		}
		tids = append(tids, tid)
	}
	removed, err := server.Remove(dir, tids...)
	for _, name := range removed {
		fmt.Println("removed", usage.Name(name))
	}
	switch {
	case err != nil:
		return opened(dir, err)
	case removed == nil:
		return fmt.Errorf("%s: there is nothing of these transactions", dir)
	}
	return nil
}

// size is what a payload has when it is whole, or "?".
func size(e *server.Entry) string {
	if e.Size == 0 {
		return "?"
	}
	return strconv.FormatInt(e.Size, 10)
}

// told is a client's address, or "-".
func told(a netip.AddrPort) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

// digest is one in hexadecimal, or "-".
func digest(sum [sha256.Size]byte) string {
	if sum == ([sha256.Size]byte{}) {
		return "-"
	}
	return hex.EncodeToString(sum[:])
}

// wrong is what is wrong with an entry, behind it.
func wrong(err error) string {
	if err == nil {
		return ""
	}
	return "  " + usage.Line(err)
}
