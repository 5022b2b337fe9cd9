package fleet

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mdalp/fleet/engine"
	"mdalp/server"
)

// An engine that is set back to an older copy, or begins anew, does not know what has begun since. A client
// of the extended protocol sends that again; one of the base protocol does not ask, and was told by each
// acknowledgement that its segment is stored.

// unknownFor is how old all files of a base transaction are that the engine does not know, until it is
// begun anew. A record is there before any of them, so that this spares questions alone.
const unknownFor = 10 * time.Minute

// anew writes records for transactions that have spools, all of whose files were written before then, and
// that the engine does not know. They are then taken over as any that others have left, and settled by
// what is there. It gives how many they are.
func (s *store) anew(before time.Time) (n int, err error) {
	left, err := s.unfinished(before)
	if err != nil {
		return 0, err
	}
	for _, tid := range slices.Sorted(maps.Keys(left)) {
		ids := spoolers(tid, left[tid])
		if len(ids) == 0 || s.knows(tid) {
			continue
		}
		if s.left() {
			return n, server.ErrElsewhere
		}
		begun, err := s.begin(tid, ids)
		if err != nil {
			return n, err
		}
		if begun {
			n++
		}
	}
	return n, nil
}

// spoolers gives the receivers whose spools are among the files of a transaction.
func spoolers(tid int64, names []string) (ids []string) {
	for _, name := range names {
		// What orchestrators put together has a name in two parts.
		_, rest, _ := strings.Cut(name, ".")
		if id, _, _ := strings.Cut(rest, "."); engine.Nameable(id) && name == server.SpoolName(tid, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// begin writes the record of a transaction, as its spools tell it, unless the engine has one.
func (s *store) begin(tid int64, ids []string) (begun bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, 2*writeFor)
	defer cancel()
	if _, _, err = s.engine.Get(ctx, tid); !errors.Is(err, engine.ErrNotFound) {
		if errors.Is(err, engine.ErrRecord) { // somebody else's, which is told of
			err = nil
		}
		return false, err
	}
	living, err := s.engine.Living(ctx)
	if err != nil {
		return false, err
	}
	// Where a receiver was offered that is not there, and who sent it where no head says so, is of interest
	// to nobody any more.
	none := netip.AddrPortFrom(netip.IPv4Unspecified(), 1)
	r := &engine.Record{TID: tid, State: engine.Created, Owner: s.me, Epoch: 1, Client: none}
	for _, id := range ids {
		station := engine.Station{ID: id, Addr: none}
		for _, p := range living {
			if p.Role == engine.Receiver && p.ID == id {
				station.Addr = p.Addr
			}
		}
		r.Receivers = append(r.Receivers, station)
		w, err := s.shared.OpenSpool(server.Meta{TID: tid, Segment: server.DefaultSegmentLimit}, id)
		if err != nil {
			return false, err
		}
		if m := w.Meta(); m.Client.IsValid() {
			r.Client, r.Offered = m.Client, m.Offered.UTC()
		}
	}
	if r.Check() != nil { // a head that makes no sense
		r.Client, r.Offered = none, time.Time{}
	}
	_, err = s.engine.Create(ctx, r)
	if errors.Is(err, engine.ErrExists) {
		return false, nil
	}
	return err == nil, err
}
