// Command compose reads a compose file as the specification has it, and writes it as JSON. It
// fails on whatever it does not know.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "compose: %v\n", err)
		os.Exit(1)
	}
}

func run(files []string) error {
	o, err := cli.NewProjectOptions(files, cli.WithName("fleet"))
	if err != nil {
		return err
	}
	p, err := o.LoadProject(context.Background())
	if err != nil {
		return err
	}
	b, err := p.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(b)
	return err
}
