package shell_test

import (
	"bytes"
	"testing"

	"github.com/spf13/cobra"

	"mdalp/cmd/internal/shell"
)

// TestComplete asks a program as the script of a shell does: 4 is no files, 6 no blank
// behind the word either, 0 files, 16 directories.
func TestComplete(t *testing.T) {
	nothing := func(*cobra.Command, []string) {}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"commands", []string{""}, "completion\ndraw\nhelp\nkeep\nping\nstop\n:4\n"},
		{"a file", []string{"draw", ""}, ":0\n"},
		{"no second file", []string{"draw", "a", ""}, ":4\n"},
		{"hosts", []string{"ping", ""}, ":4\n"},
		{"more hosts", []string{"ping", "a", "b"}, ":4\n"},
		{"no operand", []string{"stop", ""}, ":4\n"},
		{"shells", []string{"completion", ""}, "bash\nzsh\nfish\npowershell\n:4\n"},
		{"one shell", []string{"completion", "zsh", ""}, ":4\n"},
		{"values", []string{"draw", "--kind", ""}, "thin\nthick\n:4\n"},
		{"values of a command", []string{"ping", "--kind", ""}, "round\n:4\n"},
		{"begun", []string{"draw", "--kind=thic"}, "thick\n:4\n"},
		{"a list", []string{"draw", "--colours", "red,"}, "red,blue\n:6\n"},
		{"values and files", []string{"draw", "--frame", ""}, "none\n:0\n"},
		{"a file for an option", []string{"draw", "--file", ""}, ":0\n"},
		{"a directory for an option", []string{"draw", "--store", ""}, ":16\n"},
		{"a directory", []string{"keep", ""}, ":16\n"},
		{"behind a directory", []string{"keep", "a", ""}, ":4\n"},
		{"a number", []string{"draw", "--width", ""}, ":4\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := &cobra.Command{Use: "program", Args: cobra.NoArgs, Run: nothing}
			root.CompletionOptions.DisableDefaultCmd = true
			draw := &cobra.Command{Use: "draw FILE", Args: cobra.ExactArgs(1), Run: nothing}
			draw.Flags().String("kind", "", "")
			draw.Flags().StringSlice("colours", nil, "")
			draw.Flags().String("frame", "", "")
			draw.Flags().String("file", "", "")
			draw.Flags().String("store", "", "")
			draw.Flags().Int("width", 0, "")
			ping := &cobra.Command{Use: "ping HOST...", Args: cobra.ArbitraryArgs, Run: nothing}
			ping.Flags().String("kind", "", "")
			keep := &cobra.Command{Use: "keep [DIR]", Run: nothing}
			root.AddCommand(draw, keep, ping, shell.Command("program"), &cobra.Command{Use: "stop", Args: cobra.NoArgs, Run: nothing})

			args := append([]string{cobra.ShellCompNoDescRequestCmd}, tt.args...)
			if !shell.Asked(args) {
				t.Fatal("nobody asked")
			}
			shell.Complete(root, shell.Values{
				"kind": {"thin", "thick"}, "ping kind": {"round"}, "colours": {"red", "blue"}, "frame": {"none", "..."},
			})
			var out bytes.Buffer
			root.SetOut(&out)
			root.SetErr(new(bytes.Buffer))
			root.SetArgs(args)
			if err := root.Execute(); err != nil || out.String() != tt.want {
				t.Errorf("%q instead of %q, %v", out.String(), tt.want, err)
			}
		})
	}
}
