//go:build !race

package mdalp

// thin is said in the file beside this one.
const thin = false
