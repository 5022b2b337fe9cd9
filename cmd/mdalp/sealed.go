package main

import (
	"fmt"
	"os"

	"mdalp"
	"mdalp/cmd/internal/usage"
	"mdalp/seal"
)

// readKey reads the file of --key into a configuration.
func (o *sendOptions) readKey(c *mdalp.Config) error {
	if o.extended.key == "" {
		return nil
	}
	k, err := seal.ReadKeyFile(o.extended.key)
	if err != nil {
		return fmt.Errorf("--key %w", err)
	}
	c.Key = &k
	return nil
}

// openKeys is readKey, and opens the file of --key-log, behind what is there. The function is
// to be called in any case.
func (o *sendOptions) openKeys(c *mdalp.Config) (closeLog func(), err error) {
	if err := o.readKey(c); err != nil {
		return func() {}, err
	}
	return o.openKeyLog(c)
}

// openKeyLog opens the file of --key-log.
func (o *sendOptions) openKeyLog(c *mdalp.Config) (closeLog func(), err error) {
	closeLog = func() {}
	if o.keyLog == "" {
		return closeLog, nil
	}
	if c.Key == nil {
		return closeLog, usage.Errorf("--key-log %s: nothing is sealed: it needs --key", o.keyLog)
	}
	f, err := os.OpenFile(o.keyLog, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return closeLog, fmt.Errorf("--key-log %s: %w", o.keyLog, usage.File(err))
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("others may read or write it (mode %04o): chmod 600 it first", info.Mode().Perm())
	}
	if err != nil {
		f.Close()
		return closeLog, fmt.Errorf("--key-log %s: %w", o.keyLog, usage.File(err))
	}
	c.KeyLog = f
	return func() { f.Close() }, nil
}
