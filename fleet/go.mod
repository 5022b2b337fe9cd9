// The fleet is a module of its own, so that what it needs of others does not become part of
// what mdalp depends on.
module mdalp/fleet

go 1.26.0

require (
	mdalp v0.0.0
	pgregory.net/rapid v1.3.0
)

replace mdalp => ../
