//go:build !linux

package mdalp

import "time"

// threadTime is not known on this platform.
func threadTime() time.Duration { return 0 }
