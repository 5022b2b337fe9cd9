package fleet

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mdalp/fleet/engine"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/seal"
	"mdalp/wire"
)

// sealing is what a fleet with keys has, and what is seen of them from outside. It is the zero value
// in half of the fleets. What is drawn for it is no part of the other draws.
type sealing struct {
	rng      *rand.Rand
	fleet    *seal.Key
	keys     []seal.Key // of clients; the first has none of them
	ring     seal.Keyring
	keyless  int                 // the receiver that does not have the fleet's key, or -1
	tampers  float64             // how often a datagram of theirs is changed on its way
	secrets  map[int64][][]byte  // of each transaction, as its client has them
	records  map[int64][]string  // that were written of sealed ones
	numbered map[string][32]byte // what went out by each channel, direction and number
	senders  map[netip.Addr]*simPort
}

// drawKeys draws who has keys.
func (f *fleetWorld) drawKeys() {
	n := sim.Mix(f.seed, 0x5ea1)
	s := &f.seals
	s.keyless = -1
	s.secrets, s.records = make(map[int64][][]byte), make(map[int64][]string)
	s.numbered, s.senders = make(map[string][32]byte), make(map[netip.Addr]*simPort)
	if n%2 == 1 {
		return
	}
	s.rng = rand.New(rand.NewPCG(f.seed, 0x5ea1))
	s.fleet = &seal.Key{1, 2, byte(f.seed)}
	s.keys = []seal.Key{{}, {3, 4, byte(f.seed)}, {5, 6, byte(f.seed)}}
	for i, k := range s.keys[1:] {
		if err := s.ring.Add(fmt.Sprint("key", i), k); err != nil {
			f.t.Fatal(err)
		}
	}
	if s.rng.IntN(3) == 0 {
		s.keyless = s.rng.IntN(3)
	}
	if s.rng.IntN(4) == 0 {
		s.tampers = 0.1 * s.rng.Float64()
	}
}

// upgrade starts all receivers of a sealed transaction anew, once there is one under way.
func (f *fleetWorld) upgrade(at, span time.Duration, tries int) {
	f.world.At(at, func(time.Time) {
		for _, c := range f.clients {
			if c.sealed == nil || !c.opened || c.done || c.left == 0 || c.left == len(c.acked) {
				continue
			}
			for _, p := range f.rcvs {
				if slices.Contains(c.rs, p.addr) {
					p.kill()
					f.world.At(at+span, func(time.Time) { p.again() })
				}
			}
			return
		}
		if tries > 1 {
			f.upgrade(at+100*time.Millisecond, span, tries-1)
		}
	})
}

// keyed gives a process its keys, and a source of secrets that is another at each start.
func (p *proc) keyed() (k Keys) {
	s := &p.f.seals
	if s.fleet == nil || !p.orch && s.keyless >= 0 && p.id == fmt.Sprint("r", s.keyless) {
		return k
	}
	var seed [32]byte
	copy(seed[:], fmt.Sprint("keys", p.f.seed, p.id, p.starts))
	k.Fleet, k.Random = s.fleet, rand.NewChaCha8(seed)
	if p.orch {
		k.Ring = &s.ring
	}
	return k
}

// give draws a client's key, which it may not have.
func (f *fleetWorld) give(c *simClient) {
	s := &f.seals
	if s.fleet == nil || c.base {
		return
	}
	c.key = s.rng.IntN(2 * len(s.keys))
	if c.key %= len(s.keys); c.key == 0 {
		return
	}
	var seed [32]byte
	copy(seed[:], fmt.Sprint("client", f.seed, c.name))
	c.sealed = seal.NewClient(c, s.keys[c.key], c.orchs[c.at], rand.NewChaCha8(seed))
	for i, o := range c.orchs {
		if i != c.at {
			c.sealed.Others = append(c.sealed.Others, o)
		}
	}
	c.sealed.Opened = func(x *seal.Secret) { f.agreed(c, x) }
}

// agreed notes all keys of a transaction, by PROTOCOL.md.
func (f *fleetWorld) agreed(c *simClient, x *seal.Secret) {
	all := [][]byte{x.Client[:], x.Server[:]}
	for _, transport := range [][32]byte{x.Client, x.Server} {
		for _, n := range []int{0, 1, 2, seal.Orchestrator} {
			k, err := hkdf.Key(sha256.New, transport[:], nil, fmt.Sprint("mdalp channel ", n), 32)
			if err != nil {
				f.t.Fatal(err)
			}
			all = append(all, k)
		}
	}
	f.seals.secrets[x.TID] = all
	f.tally["sealed offers"]++
	r := f.last[x.TID]
	if r == nil || !r.Sealed() {
		f.fail("transaction %d is sealed, and the ledger has %+v", x.TID, r)
	}
}

// sealedRecord checks what the ledger is told of a sealed transaction.
func (f *fleetWorld) sealedRecord(before, r *engine.Record) {
	if before != nil && (before.Print != r.Print || before.Key != r.Key) {
		f.fail("transaction %d has another key: %s, and had %s", r.TID, r.Key, before.Key)
	}
	if !r.Sealed() {
		return
	}
	for _, s := range r.Receivers {
		if s.Seal == "" {
			f.fail("transaction %d is sealed, and %s is told no keys", r.TID, s.ID)
		}
		if s.ID == fmt.Sprint("r", f.seals.keyless) {
			f.fail("transaction %d is sealed, and %s is offered, which does not have the fleet's key", r.TID, s.ID)
		}
	}
	f.seals.records[r.TID] = append(f.seals.records[r.TID], string(r.Marshal()))
}

// checkSecrets checks that no key is in the ledger, whatever form it has there.
func (f *fleetWorld) checkSecrets() {
	for tid, records := range f.seals.records { // order does not show
		for _, r := range slices.Compact(records) {
			for _, secret := range append(f.seals.secrets[tid], f.seals.fleet[:]) {
				if leaks(r, secret) {
					f.fail("transaction %d has a key in the ledger: %s", tid, r)
				}
			}
		}
	}
}

// leaks reports whether a text has those bytes, as they are, in digits, or in base64.
func leaks(text string, secret []byte) bool {
	if strings.Contains(text, string(secret)) || strings.Contains(text, hex.EncodeToString(secret)) {
		return true
	}
	for _, word := range strings.Split(text, `"`) {
		if b, err := base64.StdEncoding.DecodeString(word); err == nil && bytes.Contains(b, secret) {
			return true
		}
	}
	return false
}

// watch looks at all that leaves a host, and changes some of what is sealed.
func (f *fleetWorld) watch(a netip.AddrPort) {
	if f.seals.fleet == nil {
		return
	}
	f.world.Host(a.Addr()).Mutate = func(to netip.AddrPort, b []byte) []byte {
		m, err := wire.Parse(b)
		if err != nil || m.Type == wire.Intent {
			return b
		}
		r := f.last[m.TID]
		if r == nil || !r.Sealed() {
			return b
		}
		f.seen(a, to, &m, b)
		if f.seals.rng.Float64() < f.seals.tampers {
			b[f.seals.rng.IntN(len(b))] ^= 1 << f.seals.rng.IntN(8)
		}
		return b
	}
}

// seen checks a datagram of a sealed transaction: nothing of it is in the clear, and no number goes
// out twice by one channel.
func (f *fleetWorld) seen(from, to netip.AddrPort, m *wire.Message, b []byte) {
	number, plain := m.Seq, false
	switch m.Type {
	case wire.Data:
		number = m.Num
		c := f.seals.senders[from.Addr()].now()
		plain = bytes.Contains(c.payload, m.Data[:min(len(m.Data), 32)])
	case wire.Ack:
		_, err := wire.ParseAckRanges(m, nil)
		plain = err == nil
	case wire.StateType:
		_, err := wire.ParseState(m.Data)
		plain = err == nil
	case wire.ManifestType:
		plain = bytes.Contains(m.Data, []byte("bytes"))
	default:
		return
	}
	if plain {
		f.fail("transaction %d is sealed, and in the clear is %.60q", m.TID, b)
	}
	channel := fmt.Sprint(m.TID, m.Type, from, number)
	if m.Type == wire.Data {
		channel += fmt.Sprint(to)
	}
	sum := sha256.Sum256(b)
	if before, ok := f.seals.numbered[channel]; ok && before != sum {
		f.fail("transaction %d: %v seals twice with number %d, for type %d", m.TID, from, number, m.Type)
	}
	f.seals.numbered[channel] = sum
}

// Place implements [seal.Program].
func (c *simClient) Place(a netip.AddrPort) (int, bool) {
	i := slices.Index(c.rs, a)
	return i, i >= 0
}

// Wait implements [seal.Program].
func (c *simClient) Wait(now time.Time, d time.Duration) {
	c.next, c.last, c.unheard = now.Add(d), now, 0
}

// Arrived implements [seal.Program].
func (c *simClient) Arrived() {}

// Drop implements [seal.Program].
func (c *simClient) Drop(*loop.Envelope, []byte, error) {}

// front is the client as the network sees it.
func (c *simClient) front() loop.Handler {
	if c.sealed != nil {
		return c.sealed
	}
	return c
}

// ask goes on with the next orchestrator. That does not have a sealed transaction's keys, and so is
// asked for another.
func (c *simClient) ask(now time.Time) {
	c.at = (c.at + 1) % len(c.orchs)
	if c.sealed != nil && c.tid != 0 {
		c.restart(now)
	}
}

// bereft reports whether an extended transaction has no receiver left. One that was started again
// has died to a sealed one.
func (c *simClient) bereft(now time.Time) bool {
	return !c.base && c.opened && c.left > 0 && (c.sealed != nil || now.Sub(c.moved) > 20*time.Second) &&
		!slices.ContainsFunc(c.silent, func(n int) bool { return n < 4 })
}

// foreign checks that of a payload that was sent with another key nothing is there to be resumed.
func (c *simClient) foreign(st *wire.State) {
	sent := slices.ContainsFunc(c.nums, func(n int64) bool { return n > 0 })
	if c.alien != 0 && c.old == c.alien && !sent && len(st.Have) > 0 {
		c.err = fmt.Errorf("%s: transaction %d of another key is resumed: %v is there", c.name, c.alien, st.Have)
	}
}
