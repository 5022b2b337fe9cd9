package usage

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

func TestPrefix(t *testing.T) {
	const p = Prefix("XY_")
	f := pflag.NewFlagSet("x", pflag.ContinueOnError)
	f.String("store", "", "")
	f.Int("queue-length", 5, "")
	f.BoolP("verbose", "v", false, "")
	f.Bool("help", false, "")
	for k, v := range map[string]string{
		"XY_STORE": "there", "XY_QUEUE_LENGTH": "many", "XY_VERBOSE": "true", "XY_HELP": "true",
		"XY_STOER": "there", "XY_QUEUE": "1", "XY_OTHER": "x", "XY_STORES": "", "XY_": "x", "NO_STOER": "x",
	} {
		t.Setenv(k, v)
	}
	if err := p.Set(f); !Is(err) || err.Error() != `XY_QUEUE_LENGTH: "many" is no whole number, or too large` {
		t.Errorf("%v", err)
	}
	// Those behind the bad one are set, help is none.
	if got := f.Lookup("verbose"); got.Value.String() != "true" || !got.Changed {
		t.Errorf("verbose %v", got.Value)
	}
	if got := f.Lookup("help"); got.Changed {
		t.Error("help was set")
	}
	if s := p.Given(f.Lookup("store")); s != "XY_STORE" {
		t.Error(s)
	}
	if s := p.Given(f.Lookup("help")); s != "--help" {
		t.Error(s)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{Errorf("--store x: no"), "XY_STORE x: no"},
		{&os.PathError{Op: "--store", Path: "x", Err: os.ErrNotExist}, "XY_STORE x: file does not exist"},
		{Errorf("-v: no"), "XY_VERBOSE: no"},
		{Errorf("--help: no"), "--help: no"},
		{Errorf("--nosuch: no"), "--nosuch: no"},
		{Errorf("the store --store: no"), "the store --store: no"},
		{errors.New("--"), "--"},
	} {
		got := p.Blame(f, c.err)
		if got.Error() != c.want || !errors.Is(got, c.err) || Is(got) != Is(c.err) {
			t.Errorf("%q instead of %q", got, c.want)
		}
	}
	if p.Blame(f, nil) != nil {
		t.Error("an error of none")
	}
	want := []Mistyped{{"XY_QUEUE", "XY_QUEUE_LENGTH"}, {"XY_STOER", "XY_STORE"}}
	if got := p.Mistyped(f); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	// The command line wins.
	g := pflag.NewFlagSet("x", pflag.ContinueOnError)
	g.String("store", "", "")
	if err := g.Parse([]string{"--store", "here"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Set(g); err != nil || g.Lookup("store").Value.String() != "here" {
		t.Errorf("%v, %v", err, g.Lookup("store").Value)
	}
}
