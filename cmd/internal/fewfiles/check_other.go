//go:build !linux

// Package fewfiles ends a command that may open too few files, with one line.
package fewfiles

// Check does nothing here.
func Check(string) {}
