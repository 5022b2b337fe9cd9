//go:build !linux

package mdalp

import (
	"context"
	"errors"
)

// ping needs epoll and Linux's sockets.
func ping(context.Context, *PingReport, *PingConfig) error { return errors.ErrUnsupported }
