package main

import (
	"github.com/spf13/cobra"

	"mdalp/cmd/internal/asyncio"
)

type reported struct{ error }

func newCheck(errs *asyncio.Writer) *cobra.Command {
	o := options{errs: errs}
	c := &cobra.Command{Use: "check", Short: "x"}
	o.define(c.Flags())
	return c
}
