package status

import (
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"time"

	"mdalp"
	"mdalp/server"
)

// Schema is the name of the form of a [View] as JSON, see docs/schema/status.schema.json.
const Schema = "mdalp.status/1"

// rateOver is the longest time between two States that a rate is taken from.
const rateOver = 10 * time.Second

// view makes a View, with most verdicts at most.
func (p *Page) view(s *State, most int) *View {
	n := s.Now
	v := &View{
		Schema: Schema, Version: mdalp.Version, At: n.At.UTC(), Started: p.started.UTC(),
		Uptime: round(n.At.Sub(p.started).Seconds()), Draining: n.Draining,
		Open:     OpenView{Transactions: n.Open, Placed: n.Placed, Places: n.Places, Waiting: n.Waiting},
		Counters: count(&n.Stats), Store: p.store(), Sockets: []Dropping{},
	}
	dt := 0.0
	before := make(map[int64]int64)
	if b := s.Before; b != nil && n.At.Sub(b.At) <= rateOver {
		dt = n.At.Sub(b.At).Seconds()
		v.Rate = per(int64(n.Stats.Bytes-b.Stats.Bytes), dt)
		for i := range b.Transactions {
			before[b.Transactions[i].TID] = b.Transactions[i].Bytes
		}
	}
	v.Open.Shown = make([]Transferring, len(n.Transactions))
	for i := range n.Transactions {
		t := &n.Transactions[i]
		v.Open.Shown[i] = transferring(n.At, t)
		if had, ok := before[t.TID]; ok && dt > 0 {
			v.Open.Shown[i].Rate = per(t.Bytes-had, dt)
		}
	}
	v.Verdicts = ended(s, most)
	drops := make(map[netip.AddrPort]uint64)
	for _, k := range s.Sockets {
		addr := "others"
		if k.Addr.IsValid() {
			addr = k.Addr.String()
		}
		v.Sockets = append(v.Sockets, Dropping{addr, k.Drops})
		v.Drops += k.Drops
		drops[k.Addr] = k.Drops
	}
	v.Receivers = p.loads(s, drops)
	v.MoreReceivers = n.Offered - len(v.Receivers)
	return v
}

// transferring is an open transaction; its rate is over all its time.
func transferring(now time.Time, t *server.OpenTransaction) Transferring {
	x := Transferring{
		TID: end(t.TID), Client: t.Client.String(), IP: t.Client.Addr().String(), Name: text(t.Name),
		Stage: t.Stage.String(), Protocol: protocol(t.Extended), Key: text(t.Key), Recovered: t.Recovered,
		Bytes: t.Bytes, Segments: t.Segments,
	}
	if t.Size > 0 {
		x.Size = &t.Size
	}
	if t.Lost >= 0 {
		x.Lost = &t.Lost
	}
	var taken int64 // in this transaction; what it resumes came before
	for i := range t.Receivers {
		taken += t.Receivers[i].Bytes
		x.Repeated += t.Receivers[i].Duplicates
	}
	for i := range t.Receivers {
		r := &t.Receivers[i]
		x.Receivers = append(x.Receivers, ShareView{
			Name: r.Receiver.Name, Addr: r.Receiver.Addr.String(), Bytes: r.Bytes, Segments: r.Segments,
			Repeated: r.Duplicates, Share: part(r.Bytes, taken),
		})
	}
	if !t.Begun.IsZero() {
		begun := t.Begun.UTC()
		x.Begun = &begun
		x.Age = round(now.Sub(t.Begun).Seconds())
		x.Silent = round(max(0, now.Sub(t.Last).Seconds()))
		x.Rate = per(taken, x.Age)
	}
	return x
}

// ended is the newest verdicts.
func ended(s *State, most int) EndedView {
	e := EndedView{Outcomes: make(map[string]uint64), Kept: len(s.Verdicts), Shown: []VerdictView{}}
	for o, n := range s.Outcomes {
		e.Outcomes[Outcome(o).String()] = n
	}
	for i := len(s.Verdicts) - 1; i >= 0 && len(e.Shown) < most; i-- {
		v := &s.Verdicts[i]
		w := VerdictView{
			TID: v.TID, Client: v.Client.String(), IP: v.Client.Addr().String(),
			Status: v.Status, Comment: v.Comment,
			Outcome: v.Outcome.String(), At: v.At.UTC(), Name: text(v.Name),
			Protocol: protocol(v.Extended), Key: text(v.Key), Bytes: v.Bytes, Segments: v.Segments,
			Elapsed: round(v.Elapsed.Seconds()), Settle: round(v.Settle.Seconds()), Error: text(v.Err),
		}
		if v.SHA256 != [32]byte{} {
			w.SHA256 = text(hex.EncodeToString(v.SHA256[:]))
		}
		e.Shown = append(e.Shown, w)
	}
	return e
}

// loads is what each receiver has taken, and what its socket dropped.
func (p *Page) loads(s *State, drops map[netip.AddrPort]uint64) []LoadView {
	ls := make([]LoadView, len(s.Loads))
	var all int64
	for i := range s.Loads {
		all += s.Loads[i].Bytes
	}
	for i := range s.Loads {
		r, l := &s.Now.Receivers[i].Receiver, &s.Loads[i]
		ls[i] = LoadView{
			Name: r.Name, Addr: r.Addr.String(), Bytes: l.Bytes, Segments: l.Segments, Repeated: l.Duplicates,
			Share: part(l.Bytes, all),
		}
		if r.Sock < len(p.src.Sockets) && r.Sock < len(s.Sockets) && r.Sock < mostSockets {
			ls[i].Drops = &s.Sockets[r.Sock].Drops
		}
	}
	return ls
}

// store is the store, or nil if there is none that can tell.
func (p *Page) store() *StoreView {
	u, ok := p.src.Store.(storing)
	if !ok {
		return nil
	}
	x := u.Usage()
	v := &StoreView{Path: p.src.Path, Held: x.Held, Promised: x.Promised, Reserve: x.Reserve}
	room := int64(math.MaxInt64)
	if x.Max > 0 {
		v.Max = &x.Max
		room = x.Max - x.Held - x.Promised
	}
	if d := p.disk.room(u); d != nil && d.err == nil {
		v.Free, v.Disk = &d.free, &d.all
		room = min(room, d.free-x.Reserve-x.Promised)
	}
	if room < math.MaxInt64 {
		room = max(0, room)
		v.Room = &room
	}
	return v
}

// end is the last four digits of a number, all of it if it has no more.
func end(tid int64) string {
	s := strconv.FormatInt(tid, 10)
	return s[max(0, len(s)-4):]
}

func protocol(extended bool) string {
	if extended {
		return "extended"
	}
	return "base"
}

// text is a text, or null.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// round leaves milliseconds of a time in seconds.
func round(s float64) float64 { return math.Round(s*1000) / 1000 }

// per is a rate, in whole bytes a second.
func per(n int64, seconds float64) float64 {
	if seconds <= 0 || n <= 0 {
		return 0
	}
	return math.Round(float64(n) / seconds)
}

// part is a share of all.
func part(n, all int64) float64 {
	if all <= 0 {
		return 0
	}
	return math.Round(float64(n)/float64(all)*10000) / 10000
}
