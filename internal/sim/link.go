package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A LinkConfig says how one direction of a path treats datagrams. Its zero value
// is a perfect link: no delay, no loss. Probabilities go from 0 to 1.
type LinkConfig struct {
	Delay     Delay   `json:"delay,omitzero"`
	Loss      Loss    `json:"loss,omitzero"`
	Duplicate float64 `json:"duplicate,omitempty"` // probability of a second copy, with a delay of its own
	Reorder   Reorder `json:"reorder,omitzero"`
	// Corrupt is the probability that one byte of a copy arrives flipped. Real
	// networks mostly turn that into loss, by the UDP checksum; here it reaches
	// the program.
	Corrupt float64 `json:"corrupt,omitempty"`
	// InOrder keeps datagrams from overtaking each other when their delays vary.
	// Only those that Reorder picks are then overtaken.
	InOrder bool  `json:"in_order,omitempty"`
	Rate    int64 `json:"bytes_per_second,omitempty"` // 0 is no limit
	// Rates, if there are any, take the place of Rate one after the other, from the start
	// again after the last.
	Rates []RateStep `json:"rates,omitempty"`
	// Queue is how many bytes may wait for the Rate; what comes beyond is dropped.
	// 0 is 64 KiB.
	Queue int64  `json:"queue_bytes,omitempty"`
	Clogs []Clog `json:"clogs,omitempty"`
}

// Loss says which datagrams are lost. Its parts add up: a datagram is lost when
// any of them says so.
type Loss struct {
	P float64 `json:"p,omitempty"` // each on its own
	// Burst is the two-state chain of Gilbert and Elliott.
	Burst Burst `json:"burst,omitzero"`
	// Trace replays a pattern, '.' for what arrives and 'x' for what is lost, from
	// the start again after its end.
	Trace string `json:"trace,omitempty"`
}

// A Burst is loss that comes in runs: E. O. Elliott, "Estimates of Error Rates
// for Codes on Burst-Noise Channels", 1963. All four are probabilities for each
// datagram. In the long run Enter/(Enter+Leave) of all meet the bad state, and
// a bad spell lasts 1/Leave datagrams in the mean.
type Burst struct {
	Enter float64 `json:"enter,omitempty"` // from the good state to the bad one
	Leave float64 `json:"leave,omitempty"` // from the bad state to the good one
	Good  float64 `json:"good,omitempty"`  // loss in the good state
	Bad   float64 `json:"bad,omitempty"`   // loss in the bad state
}

// Reorder holds a datagram back with probability P for Extra, so that later ones
// overtake it.
type Reorder struct {
	P     float64 `json:"p,omitempty"`
	Extra Millis  `json:"extra_ms,omitempty"`
}

// A Clog is a time, from the start of the network, in which nothing passes. The
// link heals at To; To 0 means never.
type Clog struct {
	From Millis `json:"from_ms"`
	To   Millis `json:"to_ms"`
}

// A RateStep is a rate that holds for a while.
type RateStep struct {
	For  Millis `json:"for_ms"`
	Rate int64  `json:"bytes_per_second"`
}

// rate is the rate at an instant; 0 is no limit.
func (c *LinkConfig) rate(at time.Duration) int64 {
	if len(c.Rates) == 0 {
		return c.Rate
	}
	var period time.Duration
	for _, r := range c.Rates {
		period += time.Duration(r.For)
	}
	at %= period
	for _, r := range c.Rates {
		if at < time.Duration(r.For) {
			return r.Rate
		}
		at -= time.Duration(r.For)
	}
	return c.Rate // not reached: the steps make up the period
}

// Validate says in one line what is wrong with c, or returns nil.
func (c *LinkConfig) Validate() error {
	if err := c.Delay.Validate(); err != nil {
		return err
	}
	for _, p := range []struct {
		name string
		p    float64
	}{
		{"loss p", c.Loss.P}, {"burst enter", c.Loss.Burst.Enter}, {"burst leave", c.Loss.Burst.Leave},
		{"burst good", c.Loss.Burst.Good}, {"burst bad", c.Loss.Burst.Bad},
		{"duplicate", c.Duplicate}, {"reorder p", c.Reorder.P}, {"corrupt", c.Corrupt},
	} {
		if !(p.p >= 0 && p.p <= 1) {
			return fmt.Errorf("%s %v is no probability from 0 to 1", p.name, p.p)
		}
	}
	if strings.Trim(c.Loss.Trace, ".x") != "" {
		return fmt.Errorf("loss trace holds more than '.' and 'x'")
	}
	if c.Reorder.Extra < 0 || c.Rate < 0 || c.Queue < 0 {
		return fmt.Errorf("extra_ms, bytes_per_second and queue_bytes can not be below 0")
	}
	for _, r := range c.Rates {
		if r.For <= 0 || r.Rate <= 0 {
			return fmt.Errorf("a rate of %d bytes per second for %v ms is none", r.Rate, float64(r.For)/1e6)
		}
	}
	for _, g := range c.Clogs {
		if g.From < 0 || g.To != 0 && g.To <= g.From {
			return fmt.Errorf("a clog from %v to %v ms is empty", float64(g.From)/1e6, float64(g.To)/1e6)
		}
	}
	return nil
}

// Cause says why no copy of a datagram arrives.
type Cause uint8

// The causes.
const (
	Arrives  Cause = iota // it does arrive
	Lost                  // by chance or by the loss trace
	Overflow              // the queue was full
	Clogged               // the link was dead at that time
)

// String names the cause in one word.
func (c Cause) String() string {
	return [...]string{"arrives", "lost", "overflow", "clogged"}[c]
}

// A Copy is one arrival of a datagram at the far end.
type Copy struct {
	At   time.Duration // since the start of the network
	Flip int           // index of the byte to damage; only when Mask is not 0
	Mask byte          // what to exclusive-or that byte with
}

// Damage applies the corruption of the copy, if there is any, to b in place.
func (c Copy) Damage(b []byte) {
	if c.Mask != 0 && c.Flip < len(b) {
		b[c.Flip] ^= c.Mask
	}
}

// A Fate is what becomes of one datagram: Copies[:N] arrive, and Why tells the
// reason when N is 0.
type Fate struct {
	N      int
	Copies [2]Copy
	Why    Cause
}

// A Link is one direction of a path. It holds no datagram: it decides when each
// arrives, and the caller keeps it until then. Equal seeds and equal calls give
// equal fates.
type Link struct {
	cfg   LinkConfig
	rng   *rand.Rand
	bad   bool          // state of the burst chain
	sent  int           // datagrams so far, for the loss trace
	drawn int           // delays so far, for the delay trace
	now   time.Duration // the latest instant seen
	busy  time.Duration // the sender of the link is busy until then
	last  time.Duration // the latest arrival, for InOrder
}

// NewLink makes a link from a valid configuration. It panics on an invalid one.
func NewLink(cfg LinkConfig, seed uint64) *Link {
	if err := cfg.Validate(); err != nil {
		panic("sim: " + err.Error())
	}
	if cfg.Queue == 0 {
		cfg.Queue = 64 << 10
	}
	return &Link{cfg: cfg, rng: rand.New(rand.NewPCG(seed, Mix(seed, 1)))}
}

// Send decides on a datagram of size bytes that enters the link at now, counted
// from the start of the network. An instant before an earlier call's counts as
// that call's.
func (l *Link) Send(now time.Duration, size int) (f Fate) {
	now = max(now, l.now)
	l.now = now
	n := l.sent
	l.sent++
	for _, g := range l.cfg.Clogs {
		if now >= time.Duration(g.From) && (g.To == 0 || now < time.Duration(g.To)) {
			f.Why = Clogged
			return f
		}
	}
	leaves := now
	// The rate is that of the instant at which the datagram's turn comes.
	if start := max(now, l.busy); l.cfg.rate(start) > 0 {
		rate := float64(l.cfg.rate(start))
		waiting := float64(start-now) * rate / 1e9
		if waiting+float64(size) > float64(l.cfg.Queue) {
			f.Why = Overflow
			return f
		}
		leaves = start + time.Duration(float64(size)*1e9/rate)
		l.busy = leaves
	}
	// Loss comes after the queue: what is lost on the way has used the rate.
	if l.lose(n) {
		f.Why = Lost
		return f
	}
	f.N = 1
	f.Copies[0] = l.travel(leaves, size)
	if l.chance(l.cfg.Duplicate) {
		f.N = 2
		f.Copies[1] = l.travel(leaves, size)
	}
	return f
}

// chance draws only where something can come of it, so that a feature that is
// off takes nothing from the sequence of the others.
func (l *Link) chance(p float64) bool {
	return p > 0 && l.rng.Float64() < p
}

// lose decides on loss; n counts the datagrams before this one.
func (l *Link) lose(n int) bool {
	c := &l.cfg.Loss
	lost := l.chance(c.P)
	if c.Burst != (Burst{}) {
		p := c.Burst.Good
		if l.bad {
			p = c.Burst.Bad
		}
		lost = l.chance(p) || lost
		if l.bad {
			l.bad = !l.chance(c.Burst.Leave)
		} else {
			l.bad = l.chance(c.Burst.Enter)
		}
	}
	if c.Trace != "" && c.Trace[n%len(c.Trace)] == 'x' {
		lost = true
	}
	return lost
}

// travel gives one copy its arrival and its damage.
func (l *Link) travel(leaves time.Duration, size int) (c Copy) {
	c.At = leaves + l.cfg.Delay.draw(l.rng, l.drawn)
	l.drawn++
	if l.cfg.InOrder {
		c.At = max(c.At, l.last)
		l.last = c.At
	}
	if l.chance(l.cfg.Reorder.P) {
		c.At += time.Duration(l.cfg.Reorder.Extra)
	}
	if size > 0 && l.chance(l.cfg.Corrupt) {
		c.Flip = l.rng.IntN(size)
		c.Mask = byte(1 + l.rng.IntN(255))
	}
	return c
}

// Mix derives a seed from a seed and some numbers, so that streams with any
// difference in them are unrelated. It is the finalizer of SplitMix64 (Steele,
// Lea, Flood, 2014) over each in turn.
func Mix(seed uint64, parts ...uint64) uint64 {
	h := seed
	for _, p := range parts {
		h += 0x9e3779b97f4a7c15 + p
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
