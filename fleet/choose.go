package fleet

import (
	"cmp"
	"slices"
	"time"

	"mdalp/fleet/engine"
	"mdalp/wire"
)

// original is how much of an offer the original client reads, in bytes.
const original = 1024

// choose gives the receivers that transaction tid is offered, at most n of them; n below 1 is
// all. The rule: those that are there with this directory, are not draining, and have room
// for least bytes. Zones take turns, so that they are spread over as many as there are; of
// one zone the one with the fewest open transactions comes first, of equals the one with most
// room, and of equals again it is the transaction's number that decides.
func choose(living []engine.Party, token string, tid int64, n int, least int64) []engine.Party {
	var fit []engine.Party
	for _, p := range living {
		if p.Role == engine.Receiver && !p.Draining && p.Token == token && (p.Free < 0 || p.Free >= least) &&
			p.Addr.IsValid() {
			fit = append(fit, p)
		}
	}
	slices.SortFunc(fit, func(a, b engine.Party) int {
		// Less than a tenth is no difference in room.
		return cmp.Or(cmp.Compare(a.Open, b.Open), cmp.Compare(tenths(b.Free), tenths(a.Free)),
			cmp.Compare(mix(tid, a.ID), mix(tid, b.ID)), cmp.Compare(a.ID, b.ID))
	})
	if n < 1 {
		n = len(fit)
	}
	turn := make([]int, len(fit))
	of := make(map[string]int)
	for i, p := range fit {
		turn[i] = of[p.Zone]
		of[p.Zone]++
	}
	order := make([]int, len(fit))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(turn[a], turn[b]) })
	chosen := make([]engine.Party, 0, min(n, len(fit)))
	for _, i := range order[:min(n, len(order))] {
		chosen = append(chosen, fit[i])
	}
	return chosen
}

// noneFor is how long nobody may be there that can be offered until a line says so: parts start in any order.
const noneFor = 5 * time.Second

// tellNone says that nobody can be offered, and when that is over: intents wait meanwhile, without a word.
func (s *Orchestrator) tellNone(now time.Time) {
	for i := range s.living {
		if p := &s.living[i]; p.Role == engine.Receiver && s.strange(p) && s.strangers[p.ID] != p.Start {
			s.strangers[p.ID] = p.Start
			s.cfg.Log.Error("a receiver is not offered: its fleet key, or its directory, is another one",
				"receiver", p.ID, "addr", p.Addr)
		}
	}
	if len(s.candidates(0)) > 0 {
		if s.noneTold {
			s.cfg.Log.Info("receivers can be offered again")
		}
		s.none, s.noneTold = time.Time{}, false
		return
	}
	if s.none.IsZero() {
		s.none = now
	}
	if s.noneTold || now.Sub(s.none) < noneFor || s.party.Draining {
		return
	}
	s.noneTold = true
	var receivers, draining, full, strange int
	for i := range s.living {
		p := &s.living[i]
		switch {
		case p.Role != engine.Receiver:
			continue
		case p.Draining:
			draining++
		case p.Free >= 0 && p.Free < s.cfg.Server.RoomPerOffer:
			full++
		case s.strange(p):
			strange++
		}
		receivers++
	}
	s.cfg.Log.Error("no receiver can be offered, intents wait", "receivers", receivers, "draining", draining,
		"without_room", full, "without_our_key_or_directory", strange)
}

// strange reports whether a receiver is never offered here.
func (s *Orchestrator) strange(p *engine.Party) bool {
	return p.Token != s.cfg.Token || s.sealed != nil && !s.store.vault.believes(p)
}

// tenths is a size by its decade, in steps of a tenth; no bound is the most.
func tenths(n int64) int64 {
	if n < 0 {
		return 1 << 62
	}
	step := int64(1)
	for step*100 <= n {
		step *= 10
	}
	return n / step * step
}

// mix is a number that looks random (FNV-1a), and is the same for the same.
func mix(tid int64, id string) uint64 {
	h := uint64(14695981039346656037)
	for i := range 8 {
		h = (h ^ uint64(byte(tid>>(8*i)))) * 1099511628211
	}
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h
}

// mostExtended is how many receivers an extended offer of such a length has at most.
const mostExtended = 22

// extendable is those of ps, from the first on, that an extended offer has room for.
func extendable(ps []engine.Party) []engine.Party {
	ps = ps[:min(len(ps), mostExtended)]
	for len(ps) > 0 && slices.ContainsFunc(offering(ps), func(r wire.Receiver) bool { return r.Seg == 0 }) {
		ps = ps[:len(ps)-1]
	}
	return ps
}

// offering is what a client is offered of them. Names are left out, then that segments may be
// short, and then what makes the offer one of the extended protocol, where that is what lets an
// original client read it.
func offering(ps []engine.Party) []wire.Receiver {
	full := make([]wire.Receiver, len(ps))
	for i, p := range ps {
		full[i] = wire.Receiver{Host: p.Addr.Addr().Unmap().String(), Name: p.Name, Seg: p.Seg, Win: p.Win,
			Short: p.Seg > 0}
		if p.Addr.Port() != 4650 {
			full[i].Port = p.Addr.Port()
		}
	}
	rs := slices.Clone(full)
	for _, shorten := range []func(*wire.Receiver){
		func(r *wire.Receiver) { r.Name = "" },
		func(r *wire.Receiver) { r.Short = false },
		func(r *wire.Receiver) { r.Seg, r.Win = 0, 0 },
	} {
		if len(wire.AppendOffer(nil, wire.MaxNumber, rs)) <= original {
			return rs
		}
		for i := range rs {
			shorten(&rs[i])
		}
	}
	if len(wire.AppendOffer(nil, wire.MaxNumber, rs)) <= original {
		return rs
	}
	// Nothing helps, so nothing is left out.
	return full
}
