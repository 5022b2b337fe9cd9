package server

import (
	"net/netip"
	"time"
)

// sources is how many sources of intents a limiter remembers.
const sources = 4096

// tokens is a token bucket by the generic cell rate algorithm (ITU-T I.371): one instant,
// the theoretical arrival time, which lies as far ahead as is used up. The zero value is
// full.
type tokens struct{ tat time.Time }

// left is how much may be taken, as the time in which it comes back; negative when more
// than all was taken.
func (b *tokens) left(now time.Time, burst time.Duration) time.Duration {
	return burst - max(0, b.tat.Sub(now))
}

func (b *tokens) take(now time.Time, d time.Duration) {
	if b.tat.Before(now) {
		b.tat = now
	}
	b.tat = b.tat.Add(d)
}

// A budget bounds offers over all sources, in bytes.
type budget struct {
	tokens
	cost, burst time.Duration // of an offer; cost is 0 where there is no bound
}

// rate is how many bytes of offers a second c lets go, offers having so many bytes; not more than 0 is no
// bound.
func (c *Config) rate(offer int) int64 {
	if c.OfferRate != 0 {
		return c.OfferRate
	}
	return min(DefaultOfferRate, DefaultOffers*int64(offer))
}

func newBudget(rate int64, offer int) (b budget) {
	if rate > 0 {
		b.cost = max(1, time.Duration(float64(offer)/float64(rate)*float64(time.Second)))
		b.burst = max(time.Second, 4*b.cost)
	}
	return b
}

// A limiter is a token bucket for every source of intents, because an intent of 7
// bytes draws an offer thirty times its size and its sender's address may be
// forged. Who follows an offer up has its token back. It remembers the 4096
// sources that asked last; one that is forgotten starts with a full bucket.
type limiter struct {
	interval time.Duration // for one token; 0 lets everything pass
	burst    time.Duration // all that may be taken at once

	at      map[source]int32
	buckets []bucket
	newest  int32
	oldest  int32
}

type bucket struct {
	tokens
	source       source
	newer, older int32
}

// none ends a list whose members are known by their index.
const none = -1

func newLimiter(rate float64, burst int) *limiter {
	l := &limiter{newest: none, oldest: none, at: make(map[source]int32)}
	if rate > 0 {
		l.interval = max(1, time.Duration(float64(time.Second)/rate))
		l.burst = time.Duration(burst) * l.interval
	}
	return l
}

// may tells whether a source has a token. It makes it the newest.
func (l *limiter) may(now time.Time, source source) bool {
	return l.interval == 0 || l.bucket(source).left(now, l.burst) >= l.interval
}

// take takes a token.
func (l *limiter) take(now time.Time, source source) {
	if l.interval > 0 {
		l.bucket(source).take(now, l.interval)
	}
}

// back gives one back.
func (l *limiter) back(source source) {
	if i, ok := l.at[source]; ok {
		b := &l.buckets[i]
		b.tat = b.tat.Add(-l.interval)
	}
}

// A source is what shares a bucket, places and turns: an IPv4 address, or an IPv6 /64, of which a
// single host has all addresses at will. One that has shown itself, by a cookie, is another than
// the same before: who forges an address takes nothing from who is there.
type source struct {
	netip.Addr
	shown bool
}

// sourceOf is that of an address.
func sourceOf(a netip.Addr, shown bool) source {
	if a = a.Unmap(); a.Is6() {
		p, err := a.WithZone("").Prefix(64)
		if err == nil {
			return source{p.Addr(), shown}
		}
	}
	return source{a, shown}
}

// bucket finds or makes the bucket of a source and makes it the newest.
func (l *limiter) bucket(source source) *bucket {
	i, ok := l.at[source]
	switch {
	case ok:
		l.unlink(i)
	case len(l.buckets) < sources:
		i = int32(len(l.buckets))
		l.buckets = append(l.buckets, bucket{source: source})
	default:
		i = l.oldest
		l.unlink(i)
		delete(l.at, l.buckets[i].source)
		l.buckets[i] = bucket{source: source}
	}
	l.at[source] = i
	b := &l.buckets[i]
	b.newer, b.older = none, l.newest
	if l.newest != none {
		l.buckets[l.newest].newer = i
	} else {
		l.oldest = i
	}
	l.newest = i
	return b
}

func (l *limiter) unlink(i int32) {
	b := &l.buckets[i]
	if b.newer != none {
		l.buckets[b.newer].older = b.older
	} else {
		l.newest = b.older
	}
	if b.older != none {
		l.buckets[b.older].newer = b.newer
	} else {
		l.oldest = b.newer
	}
}
