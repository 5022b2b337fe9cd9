// Package peers compares mdalp with modules that do what a part of it does. It has
// benchmarks only; ../README.md tells how to run them.
package peers
