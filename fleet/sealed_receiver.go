package fleet

import (
	"errors"
	"slices"
	"time"

	"mdalp/fleet/engine"
	"mdalp/loop"
	"mdalp/seal"
	"mdalp/server"
	"mdalp/wire"
)

// mostOpened is how many sealed transactions belong to one birth. For each a receiver remembers a
// number: it must never open the keys of a transaction twice, as the second time it would seal
// with numbers that it has used.
const mostOpened = 1 << 16

// An opener is what a receiver with the fleet's key knows of sealed transactions.
type opener struct {
	vault  *vault
	births [2]birth // the newest, and that of before: offers with it may still come
	m      wire.Message
}

// A birth is what keys were sealed for, and of which transactions they were opened.
type birth struct {
	text   string
	opened map[int64]struct{}
}

func newOpener(v *vault, id string) (*opener, error) {
	o := &opener{vault: v}
	return o, o.bear(id)
}

// bear draws another birth.
func (o *opener) bear(id string) error {
	text, err := o.vault.birth(id)
	if err != nil {
		return err
	}
	o.births[1], o.births[0] = o.births[0], birth{text, make(map[int64]struct{})}
	return nil
}

// unlock gets the keys of a transaction out of its record, once for each: a receiver that was
// started again has another birth, and is to its clients one that has died.
func (r *Receiver) unlock(s *stand, rec *engine.Record) bool {
	if s.channel != nil {
		return true
	}
	o := r.opener
	i := slices.IndexFunc(rec.Receivers, func(s engine.Station) bool { return s.ID == r.cfg.ID })
	if o == nil || i < 0 {
		return false
	}
	for k := range o.births {
		b := &o.births[k]
		if b.text == "" {
			continue
		}
		keys, err := o.vault.unlock(rec.Receivers[i].Seal, s.tid, i, r.cfg.ID, b.text)
		if err != nil {
			continue
		}
		if _, twice := b.opened[s.tid]; twice {
			return false
		}
		b.opened[s.tid] = struct{}{}
		s.channel = seal.NewChannel(keys)
		if k == 0 && len(b.opened) >= mostOpened {
			if err := o.bear(r.cfg.ID); err != nil {
				r.cfg.Log.Error("sealed transactions go on with what was drawn before", "err", err)
			}
			r.party.Seal = o.births[0].text
		}
		return true
	}
	return false
}

// unseal opens a segment of a sealed transaction. It is false where nothing more is to be done
// with the datagram. What is of no sealed transaction that is known stays as it is.
func (r *Receiver) unseal(b []byte) ([]byte, bool) {
	m := &r.opener.m
	if !wire.ParseSegment(b, m) {
		var err error
		if *m, err = wire.Parse(b); err != nil {
			return b, true
		}
	}
	s := r.stands[m.TID]
	if m.Type != wire.Data || s == nil || s.channel == nil || s.state == unknown {
		return b, true
	}
	if m.Num < 0 || m.Seq < 0 || m.Data == nil {
		r.counts.Unopened++
		return nil, false
	}
	out, err := s.channel.Open(b, len(b)-len(m.Data), uint64(m.Num))
	switch {
	case errors.Is(err, seal.ErrReplayed):
		r.counts.Replayed++
	case err != nil:
		r.counts.Unopened++
	}
	return out, err == nil
}

// Transmit implements [loop.Handler].
func (r *Receiver) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	for {
		out, ok := r.Receivers.Transmit(now, e, b)
		switch {
		case !ok:
			return out, false
		case r.stale(out):
			r.counts.Dropped++
		case r.opener == nil:
			return out, true
		default:
			if out, ok = r.seal(out); ok {
				return out, true
			}
		}
		*e = loop.Envelope{}
	}
}

// seal seals an acknowledgement, where it is of a sealed transaction. It is false when that must
// not be sent.
func (r *Receiver) seal(b []byte) ([]byte, bool) {
	m, err := wire.Parse(b)
	if err != nil {
		return nil, false
	}
	s := r.stands[m.TID]
	switch {
	case s == nil: // forgotten, and nobody knows any more whether it was sealed
		return nil, false
	case s.channel == nil:
		return b, true
	case m.Seq < 0 || m.Data == nil:
		return nil, false
	}
	b, err = s.channel.Seal(b, len(b)-len(m.Data), uint64(m.Seq))
	return b, err == nil
}

// newFlow gives the flow of an extended transaction. That of a sealed one goes on where it was:
// its numbers must not begin anew.
func (s *stand) newFlow(now time.Time) *server.Flow {
	if s.channel == nil {
		return server.NewFlow(s.tid, now, 1, true)
	}
	if s.sealed == nil {
		s.sealed = server.NewFlow(s.tid, now, 1, true)
	}
	return s.sealed
}
