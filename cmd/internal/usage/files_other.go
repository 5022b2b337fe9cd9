//go:build !linux

package usage

// Files does nothing here.
func Files(string) {}
