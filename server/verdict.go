package server

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"mdalp/wire"
)

// verdict gives the verdict.
func (s *Ledger) verdict(now time.Time, t *transaction, d outcome) {
	x := t.index
	// Without a segment only a payload that is expected to be empty is complete.
	done := t.goal == whole && !d.cut && (t.used || s.cfg.Expect != nil)
	r := Result{
		TID:       t.tid,
		Client:    t.client,
		Complete:  done,
		Balanced:  balanced(t.shares, x.Bytes()),
		Bytes:     x.Bytes(),
		Segments:  x.Segments(),
		Receivers: t.shares,
		SHA256:    t.sum,
		Path:      d.path,
		Kept:      d.kept,
		Cut:       d.cut,
		Recovered: t.found,
		Key:       t.key().Name,
		Elapsed:   now.Sub(t.start),
		Transfer:  t.stored.Sub(t.start),
		Err:       t.err,
	}
	if x := t.ext; x != nil {
		r.Extended, r.Name, r.Unkept = true, x.name, x.unkept
		r.Bytes, r.Segments, r.Balanced = x.bytes(), x.have.n, true
	}
	if !done { // what was refused did not belong to a complete one
		r.Missing = t.missing()
	}
	r.Status = r.Complete && r.Balanced
	r.Comment = comment(r.Complete, r.Balanced)
	s.stats.Settled++
	if r.Status {
		s.stats.Completed++
	}
	if !t.found {
		s.had = true
	}
	s.report(now, &r)
	s.bury(now, t, d.cut)
	s.desk.unhold(t)
	if s.cfg.Settled != nil {
		s.cfg.Settled(r)
	}
	s.desk.inherit(now, t)
	s.desk.admit(now)
}

// bury ends what is live of t, and remembers it for those who have not heard. What was cut
// off others may answer for, who then have to be asked.
func (s *Ledger) bury(now time.Time, t *transaction, cut bool) {
	t.cut = cut
	o := t.origin
	if t.used {
		s.used--
		o.bytes -= t.bytes()
	}
	o.live--
	s.release(o)
	s.open--
	t.spool, t.shares, t.origin = nil, nil, nil
	if t.seal != nil {
		t.seal.Settled()
	}
	if t.ext != nil {
		// The verdict is repeated for a while; nothing else is remembered of it.
		t.limit = now.Add(repeatFor)
		t.arrived = nil
		t.ext.place, t.ext.have, t.ext.fresh = nil, rangeSet{}, nil
	}
	if !t.used || !now.Before(t.limit) || cut && s.cfg.Fleet != nil {
		// There is nothing to acknowledge any more.
		s.forget(t)
		return
	}
	t.index.compact()
	t.phase = settled
	s.arm(t, t.limit)
	s.remember(t)
}

// report writes the verdict to the log. Those of transactions without a segment are
// counted: a stranger draws as many as he likes.
func (s *Ledger) report(now time.Time, r *Result) {
	attrs := []any{"tid", r.TID, "client", r.Client, "status", r.Status, "comment", r.Comment,
		"bytes", r.Bytes, "bytes_per_second", r.rate(), "elapsed", r.Elapsed}
	attrs = keyed(r.Key, attrs)
	if r.Path != "" {
		attrs = append(attrs, "path", r.Path)
	}
	if r.Kept != "" {
		attrs = append(attrs, "kept", r.Kept)
	}
	if r.Extended && r.SHA256 != [sha256.Size]byte{} {
		attrs = append(attrs, "sha256", hex.EncodeToString(r.SHA256[:]))
	}
	if r.Unkept {
		attrs = append(attrs, "unkept", "there is no store: it was received, and not checked")
	}
	if r.Err != nil {
		attrs = append(attrs, "err", r.Err)
	}
	switch {
	case r.Cut:
		s.cfg.Log.Info("transaction cut off, the next start goes on with it", attrs...)
	case r.Segments == 0:
		s.tell(now, tellUnused, "transaction settled", attrs...)
	default:
		s.cfg.Log.Info("transaction settled", attrs...)
	}
}

// bytes is how much of its payload is stored.
func (t *transaction) bytes() int64 {
	if t.ext != nil {
		return t.ext.bytes()
	}
	return t.index.Bytes()
}

// missing is what of it is not, the first ranges.
func (t *transaction) missing() (rs []wire.Range) {
	if t.ext == nil {
		return t.index.Missing(nil, maxMissing)
	}
	next := int64(0)
	for _, r := range t.ext.have.rs {
		if r.First > next && len(rs) < maxMissing {
			rs = append(rs, wire.Range{First: next, Last: r.First - 1})
		}
		next = r.Last + 1
	}
	if next < t.ext.total && len(rs) < maxMissing {
		rs = append(rs, wire.Range{First: next, Last: t.ext.total - 1})
	}
	return rs
}
