package server

import (
	"net/netip"
	"time"
)

// sources is how many sources of intents a limiter remembers.
const sources = 4096

// A limiter is a token bucket for every source of intents, because an intent of 7
// bytes draws an offer thirty times its size and its sender's address may be
// forged. It remembers the 4096 sources that asked last; one that is forgotten
// starts with a full bucket.
//
// A bucket is one instant, the theoretical arrival time of the generic cell rate
// algorithm (ITU-T I.371): how far it lies ahead says how much is used up.
type limiter struct {
	interval time.Duration // for one token; 0 lets everything pass
	burst    time.Duration // how far ahead an instant may lie

	at      map[netip.Addr]int32
	buckets []bucket
	newest  int32
	oldest  int32
}

type bucket struct {
	source       netip.Addr
	tat          time.Time
	newer, older int32
}

// none ends the list of buckets.
const none = -1

func newLimiter(rate float64, burst int) *limiter {
	l := &limiter{newest: none, oldest: none, at: make(map[netip.Addr]int32)}
	if rate > 0 {
		l.interval = max(1, time.Duration(float64(time.Second)/rate))
		l.burst = time.Duration(burst-1) * l.interval
	}
	return l
}

// allow takes a token of the source from is in.
func (l *limiter) allow(now time.Time, from netip.Addr) bool {
	if l.interval == 0 {
		return true
	}
	b := l.bucket(source(from))
	if b.tat.Before(now) {
		b.tat = now
	}
	if b.tat.Sub(now) > l.burst {
		return false
	}
	b.tat = b.tat.Add(l.interval)
	return true
}

// source is what shares a bucket: an IPv4 address, or an IPv6 /64, of which a
// single host has all addresses at will.
func source(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		p, err := a.WithZone("").Prefix(64)
		if err == nil {
			return p.Addr()
		}
	}
	return a
}

// bucket finds or makes the bucket of a source and makes it the newest.
func (l *limiter) bucket(source netip.Addr) *bucket {
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
