package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/model"
	"mdalp/internal/sim"
)

// TestChoose has the rule by which receivers are offered.
func TestChoose(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.1:4650")
	party := func(id, zone string, open int, free int64) engine.Party {
		return engine.Party{Role: engine.Receiver, ID: id, Zone: zone, Open: open, Free: free, Addr: at, Token: "t"}
	}
	draining := party("d", "x", 0, -1)
	draining.Draining = true
	foreign := party("f", "x", 0, -1)
	foreign.Token = "another"
	orchestrator := party("o", "x", 0, -1)
	orchestrator.Role = engine.Orchestrator
	for _, tt := range []struct {
		name   string
		living []engine.Party
		n      int
		want   string
	}{
		{"nobody", nil, 3, "[]"},
		{"those that cannot take anything", []engine.Party{draining, foreign, orchestrator, party("full", "x", 0, 99)}, 3, "[]"},
		{"the least busy first", []engine.Party{party("a", "x", 2, -1), party("b", "x", 0, -1), party("c", "x", 1, -1)}, 2, "[b c]"},
		{"zones take turns", []engine.Party{party("a", "x", 0, -1), party("b", "x", 1, -1), party("c", "y", 9, -1)}, 2, "[a c]"},
		{"of equals the one with most room", []engine.Party{party("a", "x", 0, 1000), party("b", "x", 0, 900000)}, 1, "[b]"},
		{"all", []engine.Party{party("a", "x", 1, 1000), party("b", "x", 0, 1000)}, 0, "[b a]"},
	} {
		var got []string
		for _, p := range choose(tt.living, "t", 7, tt.n, 100) {
			got = append(got, p.ID)
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
	// Where all are equal the transaction's number decides, so that none has them all.
	equals := []engine.Party{party("a", "x", 0, -1), party("b", "x", 0, -1), party("c", "x", 0, -1)}
	firsts := make(map[string]int)
	for tid := range int64(300) {
		firsts[choose(equals, "t", tid, 1, 0)[0].ID]++
	}
	for _, p := range equals {
		if firsts[p.ID] < 50 {
			t.Errorf("of 300 transactions %v are offered first", firsts)
		}
	}
}

// TestOffering has the offer within what an original client reads, where that can be.
func TestOffering(t *testing.T) {
	var ps []engine.Party
	for i := range 17 {
		ps = append(ps, engine.Party{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 4650),
			Name: "a receiver with a name of its own", Seg: 8192, Win: 64})
	}
	rs := offering(ps[:2])
	if rs[0].Name == "" || rs[0].Port != 0 || rs[0].Seg != 8192 || !rs[0].Short {
		t.Errorf("two have %+v", rs[0])
	}
	rs = offering(ps[:14])
	if rs[0].Name != "" || rs[0].Seg != 8192 || !rs[0].Short {
		t.Errorf("fourteen have %+v", rs[0])
	}
	rs = offering(ps)
	if rs[0].Name != "" || rs[0].Seg != 8192 || rs[0].Short {
		t.Errorf("seventeen have %+v", rs[0])
	}
}

// By default as many are offered as speak the extended protocol, whatever their addresses take.
func TestExtendable(t *testing.T) {
	for _, tt := range []struct{ n, port, want int }{{0, 4650, 0}, {3, 4650, 3}, {20, 4650, 18}, {20, 4651, 14}, {1000, 4650, 18}} {
		var ps []engine.Party
		for i := range tt.n {
			ps = append(ps, engine.Party{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(tt.port)),
				Seg: 8192, Win: 64})
		}
		got := extendable(ps)
		if len(got) != tt.want || len(got) > 0 && offering(got)[0].Seg == 0 {
			t.Errorf("of %d with port %d there are %d, not %d", tt.n, tt.port, len(got), tt.want)
		}
	}
	var ps []engine.Party
	for i := range 30 {
		ps = append(ps, engine.Party{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 1, 1, byte(i % 10)}), 4650), Seg: 100, Win: 2})
	}
	if n := len(extendable(ps)); n > mostExtended-1 {
		t.Errorf("%d have room, and more were not tried", n)
	}
}

// TestJoin refuses a directory that is not the fleet's.
func TestJoin(t *testing.T) {
	ours, other := sim.NewDisk(), sim.NewDisk()
	w := sim.New(sim.Config{})
	m := model.New(w, sim.Epoch, 1, model.Faults{})
	defer m.Close()
	l := m.Life(func(f func(time.Time)) { f(w.Now()) })
	c := m.Client(l)
	var got []string
	join := func(d *sim.Disk, fresh string) {
		l.Beside(func() func(time.Time) {
			token, err := Join(context.Background(), c, d, fresh)
			if err != nil && !errors.Is(err, ErrDirectory) {
				t.Error(err)
			}
			got = append(got, fmt.Sprint(token, " ", errors.Is(err, ErrDirectory)))
			return nil
		})
		w.Advance(time.Minute)
	}
	join(ours, "a")
	join(ours, "b")
	join(other, "c")
	if want := []string{"a false", "a false", " true"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := other.Stat(tokenName); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the other one has a token now: %v", err)
	}
	half := sim.NewDisk()
	if _, err := half.Make(tokenName, 0); err != nil {
		t.Fatal(err)
	}
	if token, err := Token(half, "d"); err == nil {
		t.Errorf("a file without a token gives %q", token)
	}
}
