package fleet

import (
	"mdalp/fleet/engine"
	"mdalp/server"
)

// Orchestrators of a scenario differ in whether clients give names, and all clients do.

// gives reports whether they do at an orchestrator.
func (p *proc) gives() bool { return p.f.seed>>(p.id[1]-'0')&1 == 0 }

// fileName is what a client calls its payload's file.
func (c *simClient) fileName() string { return c.name + ".bin" }

// fileOf is the name that a payload has by the ledger.
func (f *fleetWorld) fileOf(tid int64) string {
	if r := f.last[tid]; r != nil && r.File != "" {
		return r.File
	}
	return server.WholeName(tid)
}

// renamed checks the name that is written, which is one of the transaction's, and is never another.
func (f *fleetWorld) renamed(before, r *engine.Record) {
	if r.File != "" && !server.IsWholeName(r.TID, r.File) {
		f.fail("transaction %d has %q for its file", r.TID, r.File)
	}
	if before != nil && before.File != "" && r.File != before.File {
		f.fail("transaction %d had %s for its file, and now %s", r.TID, before.File, r.File)
	}
}
