package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"os"

	"mdalp/internal/lab"
	"mdalp/seal"
)

// sampleSize is the size of what the lab sends by itself, in bytes.
const sampleSize = 5000

// prepare makes what a command in the lab needs and its user did not bring: a file to send, and
// with --sealed a key, which the lab is given. env names them for the command; remove takes them
// away, and is to be called in any case.
func (o *labOptions) prepare(cfg *lab.Config) (env []string, remove func(), err error) {
	var made []string
	remove = func() {
		for _, name := range made {
			os.Remove(name)
		}
	}
	if os.Getenv("MDALP_FILE") == "" {
		name, err := temporary(sample(sampleSize, o.seed))
		if err != nil {
			return env, remove, fmt.Errorf("a file to send: %w", err)
		}
		made, env = append(made, name), append(env, "MDALP_FILE="+name)
	}
	if !o.sealed {
		return env, remove, nil
	}
	if name := os.Getenv("MDALP_KEY"); name != "" {
		k, err := seal.ReadKeyFile(name)
		if err != nil {
			return env, remove, fmt.Errorf("MDALP_KEY %w", err)
		}
		cfg.Key = &k
		return env, remove, nil
	}
	k, err := seal.NewKey(rand.Reader)
	if err != nil {
		return env, remove, err
	}
	name, err := temporary(seal.FormatKey(k, "of a run of mdalp lab"))
	if err != nil {
		return env, remove, fmt.Errorf("a key: %w", err)
	}
	cfg.Key, made = &k, append(made, name)
	return append(env, "MDALP_KEY="+name), remove, nil
}

// temporary makes a file that only its owner can read.
func temporary(b []byte) (name string, err error) {
	f, err := os.CreateTemp("", "mdalp-lab-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	return f.Name(), cmp.Or(err, f.Close())
}
