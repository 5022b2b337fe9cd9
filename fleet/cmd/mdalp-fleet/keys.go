package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"mdalp/fleet"
	"mdalp/seal"
)

// keyed is what sealed transactions need of an orchestrator.
type keyed struct {
	keys    []string
	require bool
}

func (o *keyed) define(f *pflag.FlagSet) {
	f.StringSliceVar(&o.keys, "key", nil,
		"a key of sealed transactions, [NAME=]FILE as 'mdalp key' makes it; once for each client")
	f.BoolVar(&o.require, "require-key", false, "drop intents without one of these keys")
}

// ring reads the keys that were given; nil when there are none.
func (o *keyed) ring(base, fleets bool) (*seal.Keyring, error) {
	switch {
	case len(o.keys) == 0 && o.require:
		return nil, usagef("--require-key: there is no --key, so nobody would be served")
	case len(o.keys) == 0:
		return nil, nil
	case base:
		return nil, usagef("--key: sealed transactions are extended ones, and there is --base")
	case !fleets:
		return nil, usagef("--key: --fleet-key is missing, by which receivers are told the keys")
	}
	ring := new(seal.Keyring)
	for _, given := range o.keys {
		name, k, err := seal.ReadNamedKey(given)
		if err != nil {
			return nil, fmt.Errorf("--key %w", err)
		}
		if err := ring.Add(name, k); err != nil {
			return nil, usagef("--key %s: %w", given, err)
		}
	}
	return ring, nil
}

// secret reads the fleet's own key, if one was given. No client may have it: what goes by the
// engine is sealed with it.
func (o *part) secret(ring *seal.Keyring) (k fleet.Keys, err error) {
	if o.fleetKey == "" {
		return k, nil
	}
	own, err := seal.ReadKeyFile(o.fleetKey)
	if err != nil {
		return k, fmt.Errorf("--fleet-key %w", err)
	}
	if ring != nil {
		for _, name := range ring.Names() {
			if client, _ := ring.Key(name); client == own {
				return k, usagef("--fleet-key %s: %s has the same; make another with mdalp key",
					o.fleetKey, name)
			}
		}
	}
	return fleet.Keys{Fleet: &own, Ring: ring}, nil
}

// secrets reads all keys of an orchestrator.
func (o *orchestrating) secrets() (k fleet.Keys, err error) {
	ring, err := o.ring(o.base, o.fleetKey != "")
	if err != nil {
		return k, err
	}
	k, err = o.secret(ring)
	k.Require = o.require
	return k, err
}
