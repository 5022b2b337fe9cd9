package model

import (
	"context"
	"slices"
	"strings"
	"time"

	"mdalp/fleet/engine"
)

// Say implements engine.Registry.
func (c *Client) Say(_ context.Context, p *engine.Party) error {
	is := *p
	return c.call(true, func() error {
		now := c.m.world.Now()
		since := now
		if old, ok := c.m.parties[is.ID]; ok && old.party.Draining == is.Draining {
			since = old.since
		}
		c.m.parties[is.ID] = said{is, now.Add(engine.Lives), since}
		return nil
	})
}

// Party gives what was said of a party last, until when that holds, and since when it is draining,
// or is not; nil where none has said so, or it has left.
func (m *Model) Party(id string) (p *engine.Party, until, since time.Time) {
	s, ok := m.parties[id]
	if !ok {
		return nil, until, since
	}
	return &s.party, s.until, s.since
}

// Leave implements engine.Registry.
func (c *Client) Leave(_ context.Context, p *engine.Party) error {
	id := p.ID
	return c.call(true, func() error {
		delete(c.m.parties, id)
		return nil
	})
}

// Living implements engine.Registry.
func (c *Client) Living(context.Context) (ps []engine.Party, err error) {
	err = c.call(false, func() error {
		for _, s := range c.m.parties { // order does not show
			if c.m.world.Now().Before(s.until) {
				ps = append(ps, s.party)
			}
		}
		return nil
	})
	slices.SortFunc(ps, func(a, b engine.Party) int { return strings.Compare(a.ID, b.ID) })
	return ps, err
}

// Said implements engine.Registry.
func (c *Client) Said(_ context.Context, receiver string) (p *engine.Party, revision uint64, err error) {
	err = c.call(false, func() error {
		if s, ok := c.m.parties[receiver]; ok && c.m.world.Now().Before(s.until) {
			p, revision = &s.party, uint64(s.until.UnixNano())
		}
		return nil
	})
	return p, revision, err
}

// Gone implements engine.Registry.
func (c *Client) Gone(_ context.Context, receiver string) (gone bool, err error) {
	err = c.call(false, func() error {
		gone = !c.m.world.Now().Before(c.m.parties[receiver].until)
		return nil
	})
	return gone, err
}

// Token implements engine.Registry.
func (c *Client) Token(_ context.Context, mine string) (fleets string, err error) {
	err = c.call(true, func() error {
		if c.m.token == "" {
			c.m.token = mine
		}
		fleets = c.m.token
		return nil
	})
	return fleets, err
}

// askFor is how long an answer is waited for.
const askFor = giveUp / 3

// Ask implements engine.Mail.
func (c *Client) Ask(_ context.Context, a *engine.Ask, receivers []string) []engine.Answer {
	m := c.m
	is := *a
	answers := make([]engine.Answer, len(receivers))
	left := len(receivers)
	s := m.current
	waits := true
	done := func() { // the last answer wakes who asked
		if left--; left == 0 && waits {
			waits = false
			m.resume(s)
		}
	}
	for i, id := range receivers {
		answers[i] = engine.Answer{Idle: -1, Err: engine.ErrNoAnswer}
		m.at(m.way(), func() {
			srv := m.serving[id]
			if c.Cut || m.away || m.chance(m.f.Lost) {
				return
			}
			if srv == nil || srv.life.dead { // nobody is there, and that is told at once
				done()
				return
			}
			srv.f(is, func(b engine.Answer) {
				if m.away || m.chance(m.f.Lost) {
					return
				}
				m.at(m.way(), func() {
					if waits && !c.Cut {
						b.Have = slices.Clone(b.Have)
						answers[i] = b
						done()
					}
				})
			})
		})
	}
	m.at(askFor, func() {
		if waits {
			waits = false
			m.resume(s)
		}
	})
	m.yield()
	return answers
}

// Serve implements engine.Mail.
func (c *Client) Serve(_ context.Context, receiver string, f func(engine.Ask, func(engine.Answer))) error {
	c.m.serving[receiver] = &server{c.life, func(a engine.Ask, answer func(engine.Answer)) {
		if !c.Cut {
			f(a, func(b engine.Answer) {
				if !c.Cut {
					answer(b)
				}
			})
		}
	}}
	return nil
}
