package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"mdalp/fleet/engine"
	"mdalp/server"
	"mdalp/wire"
)

// resumed is the writer of the journal that says what a transaction took over from another.
// No receiver has that name.
const resumed = "+"

// place is an extended payload, whose bytes receivers put at their places.
type place struct{ *trans }

// total is how many segments it has.
func (t *trans) total() int64 { return (t.rec.Bytes-1)/t.rec.Segment + 1 }

// Place implements [server.Placer].
func (s *store) Place(m server.Meta, size int64) (server.Place, error) {
	t := s.find(m.TID)
	if t == nil {
		return nil, server.ErrElsewhere
	}
	if err := t.open(m, size, 0); err != nil {
		return nil, err
	}
	if err := t.make(); err != nil {
		t.unopen()
		return nil, err
	}
	return &place{t}, nil
}

// make makes the file of an extended payload, unless it is there. Only who owns the transaction
// does: whoever made one first, and owned it then, could leave an empty one behind another's
// that has its name by now. For that sake it is not even tried where it is there: who is held up
// meanwhile would make one anew that was moved to another transaction. One that has another
// name too is a complete payload that was to be resumed, by an orchestrator that came no
// further: nothing may be written to it.
func (t *trans) make() error {
	part := server.PartName(t.rec.TID)
	is, err := t.s.folder.Stat(part)
	switch {
	case err == nil && is.Links > 1 && t.rec.Resumed == 0 && !t.named():
		if err := t.s.folder.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	case err == nil && is.Size == t.rec.Bytes || t.named():
		return nil
	}
	return t.s.shared.MakePart(t.rec.TID, t.rec.Bytes)
}

// errBase is the error of a client that announces a payload when it has sent another.
var errBase = errors.New("it is one of the base protocol")

// open has the receivers know where its segments go, and whoever settles it its name.
func (t *trans) open(m server.Meta, size, from int64) error {
	file := ""
	if t.s.names {
		file = server.ClientName(m.TID, m.Name)
	}
	if t.rec.Base { // its segments are being put together, and there is no way back
		return fmt.Errorf("transaction %d: %w", m.TID, errBase)
	}
	return t.change(briefTries, func(r *engine.Record) {
		r.State, r.Bytes, r.Segment, r.Name, r.Resumed = engine.Open, size, int64(m.Segment), m.Name, from
		r.File, r.Base = file, false // it may have been silent, and taken for one of the base protocol
	})
}

// file is the name that the payload gets. It stands in the record, for orchestrators may differ
// in whether clients give names. Whoever can write there is not believed: what is none of this
// transaction's names is as good as nothing, to all alike.
func (t *trans) file() string {
	if t.rec.Bytes > 0 && server.IsWholeName(t.rec.TID, t.rec.File) {
		return t.rec.File
	}
	return server.WholeName(t.rec.TID)
}

// Write implements [server.Place]. Nothing comes here.
func (p *place) Write([]byte, int64) error { return errors.ErrUnsupported }

// Taken implements [server.Place]. Nothing comes here.
func (p *place) Taken([]wire.Range) error { return errors.ErrUnsupported }

// Sync implements [server.Place]. Receivers flush by themselves.
func (p *place) Sync() error { return nil }

// Hash implements [server.Place]. All of it is hashed in the end, when no receiver writes to
// it any more.
func (p *place) Hash(int64) error { return nil }

// Gather implements [server.Gatherer]. The last one has flushed what is there, and nothing more
// taken, so that Publish need not ask once more: half of all questions.
func (p *place) Gather(_, final bool) (server.Gathered, error) {
	p.closed = false
	g, err := p.ask(final, final)
	if err != nil {
		return g, err
	}
	g.Have = server.Union(p.total(), g.Have)
	if p.closed = final && p.whole(g.Have); final && !p.closed {
		return p.Gather(false, false) // so that they take segments again
	}
	return g, nil
}

// whole reports whether have, a union, is all of the payload.
func (t *trans) whole(have []wire.Range) bool {
	return len(have) == 1 && have[0] == wire.Range{Last: t.total() - 1}
}

// ask asks the receivers what they have. Of one that does not answer it is what its journal
// says. A payload that has its name is all there.
func (t *trans) ask(flush, shut bool) (g server.Gathered, err error) {
	s := t.s
	ids := make([]string, len(t.rec.Receivers))
	for i, r := range t.rec.Receivers {
		ids[i] = r.ID
	}
	ctx, cancel := context.WithTimeout(s.ctx, askFor)
	defer cancel()
	if t.rec.Segment > 0 {
		if t.part, err = s.identity(server.PartName(t.rec.TID), t.moved); err != nil {
			return g, err
		}
	}
	t.turn++
	answers := s.engine.Ask(ctx, &engine.Ask{TID: t.rec.TID, Flush: flush, Close: shut, Epoch: t.rec.Epoch,
		Turn: t.turn, File: t.part}, ids)
	if s.ctx.Err() != nil {
		return g, server.ErrElsewhere
	}
	s.count(func(c *Counts) { c.Asks += uint64(len(ids)) })
	g.Idle, t.silent = -1, false
	g.Shares = make([]server.Share, len(ids))
	sets := make([][]wire.Range, 0, len(ids)+1)
	for i := range answers {
		a := &answers[i]
		if a.Err != nil || a.Problem != "" {
			t.silent = true
			s.count(func(c *Counts) { c.Silent++ })
			if a.Err != nil && t.rec.Segment == 0 && s.gone(ids[i]) != nil {
				return g, errStill
			}
			if err := t.dead(a, ids[i]); err != nil {
				return g, err
			}
		}
		if a.File != t.part {
			a.Have = nil // of a file that had this name before
		}
		sets = append(sets, a.Have)
		if a.Idle >= 0 && (g.Idle < 0 || a.Idle < g.Idle) {
			g.Idle = a.Idle
		}
		g.High, g.Over = max(g.High, a.High), g.Over || a.Over
		for _, r := range a.Have {
			g.Shares[i].Segments += r.Last - r.First + 1
		}
		g.Shares[i].Bytes = a.Bytes
		if t.rec.Segment > 0 {
			g.Shares[i].Bytes = min(t.rec.Bytes, g.Shares[i].Segments*t.rec.Segment)
		}
	}
	if t.rec.Resumed != 0 {
		rs, err := s.shared.Journal(t.rec.TID, resumed, t.part)
		if err != nil {
			return g, err
		}
		sets = append(sets, rs)
	}
	if t.rec.Segment > 0 && t.named() {
		sets = append(sets, []wire.Range{{First: 0, Last: t.total() - 1}})
	}
	g.Have = server.Union(1<<62, sets...)
	// What one receiver could not store, another may have by now.
	g.Over = g.Over && !(len(g.Have) == 1 && g.Have[0].First == 0 && g.Have[0].Last+1 >= g.High)
	if shut { // it was written just now that this one settles it
		return g, nil
	}
	return g, t.still(&g)
}

// identity tells which file has that name, or else the other one; 0 where none has.
func (s *store) identity(name, other string) (uint64, error) {
	is, err := s.folder.Stat(name)
	if errors.Is(err, fs.ErrNotExist) && other != "" {
		is, err = s.folder.Stat(other)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return is.ID, err
}

// still looks, when nothing has come since this one asked last, whether the transaction is this
// one's to answer for. Another may have taken it over, and ended it, and its client would be told
// for ever that it is open.
func (t *trans) still(g *server.Gathered) error {
	n := int64(1) // the zero value is never
	for _, r := range g.Have {
		n += r.Last - r.First + 1
	}
	if n != t.had {
		t.had = n
		return nil
	}
	ctx, cancel := context.WithTimeout(t.s.ctx, writeFor)
	defer cancel()
	r, _, err := t.s.engine.Get(ctx, t.rec.TID)
	if errors.Is(err, engine.ErrNotFound) || err == nil && t.left(r) {
		return t.lose()
	}
	return nil
}

// dead gives what a receiver has that does not answer.
func (t *trans) dead(a *engine.Answer, id string) (err error) {
	t.s.log.Debug("a receiver does not answer, its journal is read", "tid", t.rec.TID, "receiver", id,
		"problem", a.Problem)
	*a = engine.Answer{Idle: -1, High: a.High}
	if t.rec.Segment > 0 {
		a.File = t.part
		a.Have, err = t.s.shared.Journal(t.rec.TID, id, t.part)
	} else {
		err = t.deadBase(a, id)
	}
	return err
}

// named reports whether a payload has its name, and is whole so: one that settled it came
// no further. A file under its former name is nothing then: an orchestrator made it that did not
// know yet.
func (t *trans) named() bool {
	is, err := t.s.folder.Stat(t.file())
	return err == nil && is.Size == t.rec.Bytes
}

// Keep implements [server.Place]: what is there stays, to be resumed, or for the next
// orchestrator where this one is leaving.
func (p *place) Keep([]wire.Range) string {
	t, s := p.trans, p.s
	defer t.end()
	if t.lost || s.left() {
		return ""
	}
	t.ask(true, true)
	if err := t.change(briefTries, func(r *engine.Record) { r.State = engine.Kept }); err != nil {
		return ""
	}
	return s.folder.Full(server.PartName(t.rec.TID))
}

// Discard implements [server.Place].
func (p *place) Discard() {
	t := p.trans
	if g, err := t.ask(false, true); err != nil || len(g.Have) > 0 {
		p.Keep(g.Have) // something came of which nobody had told the server
		return
	}
	defer t.end()
	if t.change(briefTries, func(r *engine.Record) { r.State = engine.Void }) == nil {
		t.remove(server.PartName(t.rec.TID))
	}
}

// remove removes a file and the journals.
func (t *trans) remove(name string) {
	f := t.s.folder
	if name != "" {
		f.Remove(name)
	}
	for _, r := range t.rec.Receivers {
		if t.rec.Base {
			f.Remove(server.SpoolName(t.rec.TID, r.ID))
		} else {
			f.Remove(server.JournalName(t.rec.TID, r.ID))
		}
	}
	if t.rec.Base {
		t.scrap()
	}
	if t.rec.Resumed != 0 {
		f.Remove(server.JournalName(t.rec.TID, resumed))
	}
}
