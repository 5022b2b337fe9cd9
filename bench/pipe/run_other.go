//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// measure fails with [errors.ErrUnsupported]: network namespaces are Linux's.
func measure(context.Context, *options, []row, io.Writer) error {
	return fmt.Errorf("%w: network namespaces and TUN devices are Linux's, run it there",
		errors.ErrUnsupported)
}

// hold fails likewise.
func hold(ctx context.Context, _ *row, _ uint64, _ io.Reader, out io.Writer) error {
	return measure(ctx, nil, nil, out)
}
