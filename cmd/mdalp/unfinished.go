package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mdalp/cmd/internal/usage"
)

// newUnfinished is the command that lists what can be resumed.
func newUnfinished() *cobra.Command {
	var forget []string
	c := &cobra.Command{
		Use:   "unfinished",
		Short: "List transfers that were cut off, or forget them",
		Long: fmt.Sprintf(
			`List the transfers of this user that were cut off: the same command that began one goes
on with it. Only extended transfers of files of %d MiB and more are kept in mind, for
%d days; the records are in $XDG_STATE_HOME/mdalp, or else ~/.local/state/mdalp.

To forget one removes its record. What the server has of it stays there until the server
forgets it too.`, leastResumed>>20, int(recordsKept.Hours()/24)),
		Example: `  mdalp unfinished
  mdalp unfinished --forget 7`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := fromEnvironment(c.Flags()); err != nil {
				return err
			}
			all, err := records()
			if err != nil {
				return fmt.Errorf("the records cannot be read: %w", usage.File(err))
			}
			if len(forget) > 0 {
				return forgetRecords(all, forget)
			}
			return toStdout(recordTable(all))
		},
	}
	c.Flags().StringArrayVar(&forget, "forget", nil, "forget this `transaction`, or all; again for more")
	return c
}

// A found is a record in its file.
type found struct {
	record
	name string
}

// records reads all records, the oldest first. Those that nobody will ask for any more are
// removed.
func records() ([]found, error) {
	dir, err := stateFolder()
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var all []found
	for _, e := range files {
		name := filepath.Join(dir, e.Name())
		if !e.Type().IsRegular() || filepath.Ext(name) != ".json" {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		r, err := readRecord(f)
		f.Close()
		switch {
		case err != nil: // nothing to go on with: it came to no announcement, or was torn
			removeRecord(name)
		case time.Since(r.When) > recordsKept:
			removeRecord(name)
		default:
			all = append(all, found{*r, name})
		}
	}
	slices.SortFunc(all, func(a, b found) int { return a.When.Compare(b.When) })
	return all, nil
}

// removeRecord removes a record. It fails with errBusy where its transfer is going on.
func removeRecord(name string) error {
	f, err := lockRecord(name, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	return os.Remove(name)
}

// recordTable writes a line for each.
func recordTable(all []found) []byte {
	var b bytes.Buffer
	if len(all) == 0 {
		return []byte("nothing is unfinished\n")
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "transaction\tbytes\tbegan\tserver\tfile")
	for _, r := range all {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\n", r.TID, r.Size, r.When.Format(time.DateTime),
			usage.Name(r.Server), usage.Name(r.Path))
	}
	w.Flush()
	return b.Bytes()
}

// forgetRecords removes those with these numbers.
func forgetRecords(all []found, which []string) error {
	for _, w := range which {
		tid, err := strconv.ParseInt(w, 10, 64)
		if w != "all" && (err != nil || tid < 0) {
			return usage.Errorf("--forget %s: it is the number of a transaction, or all", usage.Shown(w))
		}
		known := w == "all"
		for _, r := range all {
			if w != "all" && r.TID != tid {
				continue
			}
			known = true
			if err := removeRecord(r.name); err != nil {
				return fmt.Errorf("--forget %s: transaction %d, %s: %w", w, r.TID, r.Path, usage.File(err))
			}
		}
		if !known {
			return usage.Errorf("--forget %s: there is no such transaction, see mdalp unfinished", w)
		}
	}
	return nil
}
