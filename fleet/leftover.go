package fleet

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"mdalp/fleet/engine"
	"mdalp/server"
)

// What a client has given up stays in the directory, so that he can go on with it, for as long as
// the engine has its record. Nobody knows it then any more, and nobody else would ever take it away.

const (
	// leftEvery is how often an orchestrator looks for that, and leftFirst how long after its start. What
	// is kept of the base protocol must be found between leftFor and the end of its record, an hour later.
	leftEvery = 20 * time.Minute
	leftFirst = 10 * time.Minute
	// leftFor is how old all files of a transaction are that is looked at. The clock of the directory may be
	// another one, so that it is not what decides: who is not known by the engine then, is never again.
	leftFor = engine.Keep
)

// tendLeft has that looked for when it is time.
func (s *Orchestrator) tendLeft(now time.Time) {
	switch {
	case s.clear.IsZero():
		s.clear = now.Add(leftFirst)
	case !now.Before(s.clear):
		s.clear = now.Add(leftEvery)
		if s.seen && !s.clearing {
			s.seekLeft(now)
		}
	}
}

// seekLeft looks for what is left of transactions that nobody knows any more, and removes it.
func (s *Orchestrator) seekLeft(now time.Time) {
	s.clearing = true
	s.cfg.Beside(func() func(time.Time) {
		again, err := s.store.anew(now.Add(-unknownFor))
		if again > 0 {
			s.cfg.Log.Warn("the engine knew nothing of transactions whose segments were acknowledged; they"+
				" are settled now", "transactions", again)
		}
		files, bytes, cerr := s.store.clear(now.Add(-leftFor))
		err = errors.Join(err, cerr, s.store.refresh())
		return func(time.Time) {
			s.clearing = false
			if err != nil {
				s.cfg.Log.Debug("what is left, or open for long, cannot be looked for", "err", err)
			}
			if files > 0 {
				s.cfg.Log.Info("what was left of transactions that came to nothing was removed",
					"files", files, "bytes", bytes)
			}
		}
	})
}

// clear removes what is left of transactions all of whose files were written before then, where the engine
// knows them no more, or has them ended. It gives how many files those were, and how many bytes.
func (s *store) clear(before time.Time) (files int, bytes int64, err error) {
	left, err := s.unfinished(before)
	if err != nil {
		return 0, 0, err
	}
	tids := make([]int64, 0, len(left))
	for tid := range left { // sorted below
		tids = append(tids, tid)
	}
	slices.Sort(tids)
	for _, tid := range tids {
		nothing, err := s.nothing(tid, slices.ContainsFunc(left[tid], server.IsSpoolName))
		if err != nil {
			return files, bytes, err
		}
		if !nothing {
			continue
		}
		for _, name := range left[tid] {
			is, err := s.folder.Stat(name)
			if err == nil && s.folder.Remove(name) == nil {
				files, bytes = files+1, bytes+is.Bytes
			}
		}
	}
	return files, bytes, nil
}

// nothing reports whether nobody can go on with a transaction any more. With spools, what is there was
// acknowledged for good, by the base protocol: that goes only where an orchestrator has judged it, see anew.
func (s *store) nothing(tid int64, spools bool) (bool, error) {
	if s.left() {
		return false, server.ErrElsewhere
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeFor)
	defer cancel()
	r, _, err := s.engine.Get(ctx, tid)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return !spools, nil
	case err != nil:
		return false, err
	case r.State == engine.Kept:
		return spools && r.Base, nil
	}
	return r.State.Ended(), nil
}

// refresh writes anew the records of this orchestrator that were open when it was called before: the
// engine forgets them a day after they were written last, and a large payload may take longer.
func (s *store) refresh() error {
	ctx, cancel := context.WithTimeout(s.ctx, writeFor)
	defer cancel()
	open, err := s.engine.Unsettled(ctx)
	if err != nil {
		return err
	}
	long := make(map[int64]bool)
	for _, e := range open {
		tid := e.Record.TID
		if e.Record.Owner != s.me {
			continue
		}
		if long[tid] = true; !s.long[tid] {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, writeFor)
		_, werr := s.engine.Update(ctx, e.Record, e.Revision)
		cancel()
		if werr != nil && !errors.Is(werr, engine.ErrConflict) { // else it was written just now
			err = werr
		}
	}
	s.long = long
	return err
}

// unfinished gives the names of files of payloads on their way, by transaction: of those that nobody has
// written to since before.
func (s *store) unfinished(before time.Time) (map[int64][]string, error) {
	left, fresh := make(map[int64][]string), make(map[int64]bool)
	err := s.folder.Names(func(name string) error {
		tid, ok := server.UnfinishedName(name)
		if !ok || fresh[tid] {
			return nil
		}
		is, err := s.folder.Stat(name)
		if errors.Is(err, fs.ErrNotExist) { // it has its name by now
			return nil
		}
		if err != nil {
			return err
		}
		if !is.When.Before(before) {
			fresh[tid] = true
			delete(left, tid)
			return nil
		}
		left[tid] = append(left[tid], name)
		return nil
	})
	return left, err
}
