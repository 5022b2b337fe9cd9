package usage

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A Prefix is how the environment variables of a program begin, such as "MDALP_". Each
// option of the program has one: --intent-timeout is MDALP_INTENT_TIMEOUT.
type Prefix string

// fromVariable marks an option that [Prefix.Set] has set.
const fromVariable = "environment"

// Variable is the environment variable that stands for an option.
func (p Prefix) Variable(f *pflag.Flag) string {
	return string(p) + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// ours reports whether an option can come from the environment. Those that cobra adds say
// what is to be printed, and nothing of how the program works.
func ours(f *pflag.Flag) bool { return f.Name != "help" && f.Name != "version" }

// Set sets every option that the command line left out from its variable, where that is set.
// A bad value does not keep it from the options that follow, since they may say how to
// print errors; the first one is told.
// A variable that is empty counts as not set, which is how a script takes one back.
//
// Afterwards pflag takes those options for given: who needs to know what was on the command
// line itself asks Changed before.
func (p Prefix) Set(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || !ours(f) {
			return
		}
		key := p.Variable(f)
		if v := os.Getenv(key); v != "" {
			if e := flags.Set(f.Name, v); e != nil && err == nil {
				err = Errorf("%s: %w", key, Value(e))
			}
			flags.SetAnnotation(f.Name, fromVariable, []string{v})
		}
	})
	return err
}

// Given tells what an option's value came from, as a message has it: its variable, or the
// option itself.
func (p Prefix) Given(f *pflag.Flag) string {
	if f.Annotations[fromVariable] != nil {
		return p.Variable(f)
	}
	return "--" + f.Name
}

// Blame names the variable in an error that begins with an option which came from there: who
// reads it would look for the option in vain. Whether it is an [Error] stays as it was.
func (p Prefix) Blame(flags *pflag.FlagSet, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	end := strings.IndexAny(text, " :")
	if end < 0 || text[0] != '-' {
		return err
	}
	var f *pflag.Flag
	if name, long := strings.CutPrefix(text[:end], "--"); long {
		f = flags.Lookup(name)
	} else if end == 2 {
		f = flags.ShorthandLookup(text[1:2])
	}
	if f == nil || f.Annotations[fromVariable] == nil {
		return err
	}
	return &blamed{p.Variable(f) + text[end:], err}
}

// A blamed error is another one in other words.
type blamed struct {
	text string
	error
}

func (b *blamed) Error() string { return b.text }

func (b *blamed) Unwrap() error { return b.error }

// A Mistyped is a variable of the environment that no option has, and that of an option that
// is much like it.
type Mistyped struct{ Name, Meant string }

// Mistyped looks for variables with the prefix that no option of flags has, but nearly. Those
// that are like no other are somebody else's.
func (p Prefix) Mistyped(flags *pflag.FlagSet) (found []Mistyped) {
	// cobra knows what is like a command.
	like := &cobra.Command{SuggestionsMinimumDistance: 2}
	known := make(map[string]bool)
	flags.VisitAll(func(f *pflag.Flag) {
		known[p.Variable(f)] = true
		if ours(f) {
			like.AddCommand(&cobra.Command{Use: p.Variable(f), Run: func(*cobra.Command, []string) {}})
		}
	})
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, string(p)) || name == string(p) || value == "" {
			continue
		}
		if near := like.SuggestionsFor(name); !known[name] && len(near) > 0 {
			found = append(found, Mistyped{name, near[0]})
		}
	}
	slices.SortFunc(found, func(a, b Mistyped) int { return strings.Compare(a.Name, b.Name) })
	return found
}
