//go:build !linux

package main

// trim has nothing to do: the server runs on Linux.
func trim() {}
