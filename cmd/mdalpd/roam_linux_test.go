package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A client whose address changes, by its end and another start or while it sends, goes on
// where it was: the payload is whole, and stored once.
func TestAnotherAddress(t *testing.T) {
	t.Parallel() // it mostly waits
	isolated(t, func(t *testing.T) {
		const (
			asks    = "the server has closed the transaction: asking for another to go on"
			resumes = "resuming transaction 1: "
		)
		for _, tt := range []struct {
			name          string
			server        []string
			first, second []string // options of the first start and the second, nil if there is none
			change        []string // of addresses, by ip(8), in between
			says          []string
		}{
			{
				name:  "killed, and started with another --bind",
				first: []string{"--bind", "10.7.0.1"}, second: []string{"--bind", "10.7.0.2"},
				change: []string{"addr add 10.7.0.2/24 dev c0"}, says: []string{resumes},
			},
			{
				name: "killed, and the host has another address", first: []string{}, second: []string{},
				change: []string{"addr del 10.7.0.1/24 dev c0", "addr add 10.7.0.2/24 dev c0"}, says: []string{resumes},
			},
			// Segments may come from any address. To ask for the verdict tells that it changed.
			{
				name: "while it sends", first: []string{},
				change: []string{"addr del 10.7.0.1/24 dev c0", "addr add 10.7.0.2/24 dev c0"}, says: []string{asks, resumes},
			},
			// Here they may not: it asks when nothing is acknowledged any more.
			{
				name: "while it sends, and the server minds", server: []string{"--bind-clients"}, first: []string{},
				change: []string{"addr del 10.7.0.1/24 dev c0", "addr add 10.7.0.2/24 dev c0"}, says: []string{asks, resumes},
			},
		} {
			t.Run(tt.name, func(t *testing.T) {
				p := hosts(t)
				p.ip(t, "addr add 10.7.0.1/24 dev c0")
				payload, file, store := make([]byte, 2_000_000), filepath.Join(t.TempDir(), "f"), t.TempDir()
				rand.NewChaCha8([32]byte{1}).Read(payload)
				if err := os.WriteFile(file, payload, 0o600); err != nil {
					t.Fatal(err)
				}
				launch(t, command(t, slices.Concat([]string{"--listen", "10.7.0.9", "--store", store, "--first-tid", "1"}, tt.server)...), false, "msg=listening ")
				send := func(options []string, rate string) *running {
					args := slices.Concat([]string{p.program, "-a", "10.7.0.9", "-p", "4650", "-f", file, "--json-stream"}, options)
					c := p.there(args...)
					c.Env = append(c.Env, "MDALP_RATE="+rate)
					return launch(t, c, true, `"acknowledged_bytes":[1-9]`)
				}
				// One that is killed is slow, so that it is not done before; the command is the same.
				// The other stands still meanwhile, so that it sees one change. It has most of a second
				// to send when it is stopped.
				rate := "4M"
				if tt.second == nil {
					rate = "20M"
				}
				c := send(tt.first, rate)
				if tt.second != nil {
					c.end(unix.SIGKILL) // its record is locked until it is gone
				} else if err := c.cmd.Process.Signal(unix.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				for _, change := range tt.change {
					p.ip(t, change)
				}
				if tt.second != nil {
					c = send(tt.second, "0")
				} else if err := c.cmd.Process.Signal(unix.SIGCONT); err != nil {
					t.Fatal(err)
				}
				code, said := c.end(0)
				if code != 0 {
					t.Errorf("it ends with %d", code)
				}
				for _, line := range tt.says {
					if !strings.Contains(said, line) {
						t.Errorf("it does not say %q", line)
					}
				}
				whole(t, store, payload)
				if t.Failed() {
					t.Log(said)
				}
			})
		}
	})
}
