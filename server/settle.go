package server

import "time"

// settle gives the verdict.
func (s *Server) settle(now time.Time, t *transaction) {
	x := t.index
	r := Result{
		TID:       t.tid,
		Client:    t.client,
		Complete:  s.complete(t),
		Balanced:  balanced(t.shares, x.Bytes()),
		Bytes:     x.Bytes(),
		Segments:  x.Segments(),
		Receivers: t.shares,
		Missing:   x.Missing(nil, maxMissing),
		Elapsed:   now.Sub(t.start),
		Transfer:  t.stored.Sub(t.start),
	}
	r.Path, r.Complete = s.publish(t, r.Complete)
	if r.Complete {
		r.Missing = nil // what was refused did not belong to it
	}
	r.Status = r.Complete && r.Balanced
	r.Comment = comment(r.Complete, r.Balanced)
	r.SHA256, r.Err = t.sum, t.err

	t.phase = settled
	t.spool, t.shares = nil, nil
	s.open--
	s.arm(t, t.limit)
	s.remember(t)
	s.stats.Settled++
	if r.Status {
		s.stats.Completed++
	}
	attrs := []any{"tid", r.TID, "client", r.Client, "status", r.Status, "comment", r.Comment,
		"bytes", r.Bytes, "elapsed", r.Elapsed}
	if r.Path != "" {
		attrs = append(attrs, "path", r.Path)
	}
	if r.Err != nil {
		attrs = append(attrs, "err", r.Err)
	}
	s.cfg.Log.Info("transaction settled", attrs...)
	if s.cfg.Settled != nil {
		s.cfg.Settled(r)
	}
	s.admit(now)
}

// publish gives the payload its name, or does away with it. A payload that could
// not be published is not complete.
func (s *Server) publish(t *transaction, complete bool) (path string, ok bool) {
	if !complete {
		if !s.cfg.KeepPartial || t.index.Segments() == 0 {
			t.spool.Discard()
			return "", false
		}
		sum, err := t.spool.Assemble()
		if err != nil {
			s.failed(t, err)
			t.spool.Discard()
			return "", false
		}
		t.sum = sum
	}
	path, err := t.spool.Publish(!complete)
	if err != nil {
		s.failed(t, err)
		return "", false
	}
	return path, complete
}

// complete reports whether all of the payload is there, put together.
func (s *Server) complete(t *transaction) bool {
	if s.cfg.Expect != nil {
		return s.arrived(t)
	}
	if !t.index.Whole() || t.over {
		return false
	}
	sum, err := t.spool.Assemble()
	if err != nil {
		s.failed(t, err)
		return false
	}
	t.sum = sum
	return true
}
