//go:build race

package mdalp

// thin says that campaigns have fewer seeds: the programs of a simulation have one goroutine,
// in which there is no race to be found, and the detector makes them ten times slower.
const thin = true
