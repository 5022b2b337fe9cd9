package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"mdalp/fleet/engine"
	"mdalp/server"
)

// offerLag is how old what an orchestrator knows of the others may be when it offers them.
const offerLag = livingFor

// wrote checks what the ledger is told.
func (f *fleetWorld) wrote(r *engine.Record) {
	before := f.last[r.TID]
	f.last[r.TID] = r
	f.renamed(before, r)
	f.sealedRecord(before, r)
	switch {
	case before == nil:
		f.offered(r)
	case before.State == engine.Complete || before.State == engine.Damaged:
		f.fail("transaction %d was %s, and is %s", r.TID, before.State, r.State)
	case r.Epoch < before.Epoch || r.Owner != before.Owner && r.Epoch == before.Epoch:
		f.fail("transaction %d is %s's in epoch %d, after %s's in epoch %d", r.TID, r.Owner, r.Epoch, before.Owner, before.Epoch)
	}
	if r.Owner != "" && before != nil && r.Owner != before.Owner {
		f.taken(r, before)
	}
	if r.State != engine.Complete {
		return
	}
	f.checkFile(r.TID, nil, "is complete in the ledger")
	if f.m.Settled == nil || f.settled(r.TID) != 1 {
		f.fail("transaction %d is complete, and stands %d times in the stream of the settled", r.TID, f.settled(r.TID))
	}
}

// owner gives the process of an orchestrator's ID, which has its start at the end.
func (f *fleetWorld) owner(id string) *proc {
	name, _, _ := strings.Cut(id, "-")
	return f.procs[name]
}

// offered checks who is offered: nobody whom the registry knows for long to be gone or to drain.
func (f *fleetWorld) offered(r *engine.Record) {
	at := r.Offered.Add(-f.owner(r.Owner).off)
	for _, s := range r.Receivers {
		p, until, since := f.m.Party(s.ID)
		switch {
		case f.ills.full(s.ID, r.Offered.Add(-f.owner(r.Owner).off), engine.Lives+offerLag):
			f.fail("transaction %d: %s is offered, and has no room since %v", r.TID, s.ID, engine.Lives+offerLag)
		case p == nil:
		case !until.IsZero() && until.Add(offerLag).Before(at):
			f.fail("transaction %d: %s is offered, and gone since %v", r.TID, s.ID, at.Sub(until))
		case p.Draining && since.Add(offerLag).Before(at):
			f.fail("transaction %d: %s is offered, and drains since %v", r.TID, s.ID, at.Sub(since))
		}
	}
}

// taken checks that what an orchestrator takes over where no client has asked is nobody's. In a
// quiet fleet nobody takes anything.
func (f *fleetWorld) taken(r, before *engine.Record) {
	if f.quiet && f.world.Now().Sub(r.Offered.Add(-f.owner(r.Owner).off)) < time.Minute {
		f.fail("transaction %d is taken over by %s, and nothing has happened to %s", r.TID, r.Owner, before.Owner)
	}
}

// checkPromised checks that what a client was acknowledged of the base protocol is in what became
// complete, if it gave up before the end, too.
func (f *fleetWorld) checkPromised(c *simClient) {
	for _, p := range c.promised {
		r := f.m.Record(p.tid)
		if r == nil || r.State != engine.Complete || f.hosts.torn[p.tid] || f.ills.sad[p.tid] && !f.ills.alone {
			continue
		}
		b := f.stable(p.tid)
		for seq, acked := range p.acked {
			end := min((seq+1)*int(c.seg), len(c.payload))
			if acked && (len(b) < end || !bytes.Equal(b[:end], c.payload[:end])) {
				f.fail("transaction %d is complete, and segment %d was acknowledged and is not there", p.tid, seq)
				return
			}
		}
	}
}

// checkTorn checks a base payload of which a loss of power may have taken what was acknowledged:
// where it is there, it is so from its first byte on. Where nothing of it was, the next client from its
// address may have got its offer.
func (f *fleetWorld) checkTorn(c *simClient) {
	r := f.m.Record(c.tid)
	if r == nil || r.State != engine.Complete {
		return
	}
	b := f.stable(c.tid)
	if len(b) == 0 || !slices.ContainsFunc(f.clients, func(x *simClient) bool {
		return x.tid == c.tid && bytes.HasPrefix(x.payload, b)
	}) {
		f.fail("transaction %d is complete after a loss of power, and holds something else", c.tid)
	}
}

// checkDigest checks that a payload that the ledger says is complete is there and stable.
func (f *fleetWorld) checkDigest(r *engine.Record) {
	f.checkFile(r.TID, nil, "is complete to the end")
	if sum := sha256.Sum256(f.stable(r.TID)); hex.EncodeToString(sum[:]) != r.SHA256 {
		f.fail("transaction %d is complete, and its file has another digest", r.TID)
	}
}

// stable is what a loss of power leaves of a payload that has its name.
func (f *fleetWorld) stable(tid int64) []byte {
	return f.disk.Unplugged(func() bool { return false }).Files()[f.fileOf(tid)]
}

// A listener reads what the programs of a scenario log, for what no client should be told.
type listener struct {
	slog.Handler
	f *fleetWorld
}

func (l listener) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || l.Handler.Enabled(ctx, level)
}

func (l listener) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && errors.Is(err, server.ErrElsewhere) && r.Level >= slog.LevelError {
			l.f.fail("one says of what another answers for: %s", r.Message)
		}
		return true
	})
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}
