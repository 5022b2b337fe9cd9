package fleet

import (
	"time"

	"mdalp/loop"
)

// A simPort is one address and port that clients have one after the other, each a second and
// some more after the one before it is through: a server that takes them for one client loses
// payloads.
type simPort struct {
	clients []*simClient
	gaps    []time.Duration
	at      int
}

// now gives the client that has the port.
func (p *simPort) now() *simClient {
	c := p.clients[p.at]
	if c.done && p.at+1 < len(p.clients) {
		gap := time.Second + p.gaps[p.at]
		p.at++
		next := p.clients[p.at]
		next.begin, next.last, next.next = c.ended.Add(gap), c.ended.Add(gap), c.ended.Add(gap)
		return next
	}
	return c
}

func (p *simPort) Receive(now time.Time, e *loop.Envelope, b []byte) {
	p.now().front().Receive(now, e, b)
}
func (p *simPort) Fail(now time.Time, e *loop.Envelope, err error) { p.now().front().Fail(now, e, err) }
func (p *simPort) Expire(now time.Time)                            { p.now().front().Expire(now) }
func (p *simPort) Next() (time.Time, bool)                         { return p.now().front().Next() }

func (p *simPort) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	return p.now().front().Transmit(now, e, b)
}
