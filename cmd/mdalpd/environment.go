package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"mdalp/cmd/internal/usage"
)

// variables are those that options come from: --store-bytes from MDALPD_STORE_BYTES.
const variables = usage.Prefix("MDALPD_")

// given has the program run with the options of the command line, and where those are left
// out, of the environment. An error names where the option came from.
func (o *options) given(c *cobra.Command, run func(context.Context) error) error {
	flags := c.Flags()
	if err := variables.Set(flags); err != nil {
		return err
	}
	o.bounded = flags.Changed("max-bytes")
	o.asked = flags.Changed("concurrent")
	o.mistyped = variables.Mistyped(flags)
	return variables.Blame(flags, run(c.Context()))
}

// suspect says of each variable that looks like a mistake what may be meant. It may be
// another program's, so it stops nothing.
func (o *options) suspect(log *slog.Logger) {
	for _, m := range o.mistyped {
		log.Warn(fmt.Sprintf("the variable %s means nothing here: is %s meant?", usage.Text(m.Name), m.Meant))
	}
}
