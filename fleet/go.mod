// The fleet is a module of its own, so that what it needs of others does not become part of
// what mdalp depends on.
module mdalp/fleet

go 1.26.0

require (
	github.com/nats-io/nats.go v1.55.0
	golang.org/x/sys v0.49.0
	mdalp v0.0.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.57.0 // indirect
)

replace mdalp => ../
