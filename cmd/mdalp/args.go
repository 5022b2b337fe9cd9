package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mdalp/cmd/internal/shell"
	"mdalp/cmd/internal/usage"
)

// originals are the long options of the original client, which accepts every
// unambiguous beginning of them. It reads its command line by Python's argparse, which
// does so unless it is told not to.
var originals = []string{"addr", "file", "help", "mode", "port", "server", "verbose"}

// arrange makes the original's command line one of ours: "send" is put in front where
// no command is named, and abbreviated long options are spelled out. Only the very
// first argument can name a command, so a file or an address that is called like one
// stays what it is.
func arrange(root *cobra.Command, args []string) []string {
	if shell.Asked(args) {
		return arrangeCompletion(args)
	}
	if len(args) == 0 && os.Getenv("MDALP_FILE") != "" {
		args = []string{"send"} // all that it needs may be in the environment
	}
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") && args[0] != "send" {
		return args
	}
	switch args[0] {
	// The help of the whole program, which ends with the options of send.
	case "-h", "--help":
		return args
	case "--version":
		return append([]string{"version"}, args[1:]...)
	}
	if args[0] == "send" {
		args = args[1:]
	}
	send, _, _ := root.Find([]string{"send"})
	out := []string{"send"}
	for i, a := range args {
		// Files that begin with a dash come behind it, and are nobody's options.
		if a == "--" {
			return append(out, args[i:]...)
		}
		out = append(out, expand(send.Flags(), a))
	}
	return out
}

// expand spells out an abbreviated long option of the original. Options of our own have
// no abbreviations: a script that used one would break as soon as another option began
// like it.
func expand(known *pflag.FlagSet, arg string) string {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
	if !strings.HasPrefix(arg, "--") || name == "" || known.Lookup(name) != nil {
		return arg
	}
	found := ""
	for _, o := range originals {
		if strings.HasPrefix(o, name) {
			if found != "" {
				return arg // ambiguous: the parser will say so
			}
			found = o
		}
	}
	switch {
	case found == "":
		return arg
	case hasValue:
		return "--" + found + "=" + value
	}
	return "--" + found
}

// variables are those that options come from: --intent-timeout from MDALP_INTENT_TIMEOUT.
const variables = usage.Prefix("MDALP_")

// fromEnvironment sets every option that the command line left out from its variable.
func fromEnvironment(flags *pflag.FlagSet) error { return variables.Set(flags) }

// blame names the variable in an error of the command line that begins with an option
// which came from there.
func blame(flags *pflag.FlagSet, err error) error {
	if !usage.Is(err) {
		return err
	}
	return variables.Blame(flags, err)
}
