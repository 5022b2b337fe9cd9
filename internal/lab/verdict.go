package lab

import (
	"context"
	"errors"
	"net/netip"

	"mdalp/server"
)

// ErrClosed is what a wait for a verdict ends with when the lab has ended.
var ErrClosed = errors.New("the lab has ended")

// maxResults is how many verdicts are kept.
const maxResults = 4096

// settle keeps a verdict and wakes those who wait for it.
func (l *Lab) settle(r server.Result) {
	l.mu.Lock()
	if len(l.results) == maxResults {
		l.results = append(l.results[:0], l.results[1:]...)
	}
	l.results = append(l.results, r)
	close(l.news)
	l.news = make(chan struct{})
	l.mu.Unlock()
	if l.settled != nil {
		l.settled(r)
	}
}

// Results are the verdicts so far, in the order in which they fell; the last 4,096
// of them.
func (l *Lab) Results() []server.Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]server.Result(nil), l.results...)
}

// Verdict waits for the verdict on a transaction. The error is that of ctx, or
// ErrClosed.
func (l *Lab) Verdict(ctx context.Context, tid int64) (server.Result, error) {
	return l.verdict(ctx, func(r *server.Result) bool { return r.TID == tid })
}

// VerdictOf waits for the latest verdict on a client, by its address and port.
func (l *Lab) VerdictOf(ctx context.Context, client netip.AddrPort) (server.Result, error) {
	return l.verdict(ctx, func(r *server.Result) bool { return r.Client == client })
}

func (l *Lab) verdict(ctx context.Context, is func(*server.Result) bool) (server.Result, error) {
	find := func() (server.Result, chan struct{}, bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i := len(l.results) - 1; i >= 0; i-- {
			if is(&l.results[i]) {
				return l.results[i], nil, true
			}
		}
		return server.Result{}, l.news, false
	}
	for {
		r, news, ok := find()
		if ok {
			return r, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return server.Result{}, context.Cause(ctx)
		case <-l.ended:
			// The end settles what was open; look once more.
			if r, _, ok := find(); ok {
				return r, nil
			}
			return server.Result{}, ErrClosed
		}
	}
}
