package main

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"mdalp/cmd/internal/usage"
	"mdalp/loop"
	"mdalp/seal"
	"mdalp/server"
)

// A front is what datagrams come to: the server, or who opens and seals for it.
type front interface {
	loop.Handler
	TakeOver(now time.Time, h server.Handover)
}

// ring reads the keys that were given; nil when there are none.
func (o *options) ring() (*seal.Keyring, error) {
	switch {
	case len(o.keys) == 0 && o.requireKey:
		return nil, usage.Errorf("--require-key: there is no --key, so nobody would be served")
	case len(o.keys) == 0:
		return nil, nil
	case o.base:
		return nil, usage.Errorf("--key: sealed transactions are extended ones, and there is --base")
	}
	ring := new(seal.Keyring)
	for _, given := range o.keys {
		name, k, err := seal.ReadNamedKey(given)
		if err != nil {
			return nil, fmt.Errorf("--key %w", err)
		}
		if err := ring.Add(name, k); err != nil {
			return nil, usage.Errorf("--key %s: %w", usage.Text(given), err)
		}
	}
	return ring, nil
}

// server makes the server, and what stands around it: itself, if there are no keys.
func (o *options) server(cfg server.Config) (*server.Server, front, error) {
	if o.sealed == nil {
		s, err := server.New(cfg)
		return s, s, err
	}
	s, err := server.NewSealed(cfg, o.sealed, o.requireKey, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return s.Server, s, nil
}

// keyed names the keys that a ring has, each with its ID.
func keyed(ring *seal.Keyring) string {
	var all []string
	for _, name := range ring.Names() {
		k, _ := ring.Key(name)
		all = append(all, name+" ("+k.ID()+")")
	}
	return strings.Join(all, ", ")
}
