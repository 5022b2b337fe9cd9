package model

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"time"

	"mdalp/loop"
)

// A Life is one process, from its start until it is killed. What runs beside its loop ends
// with it, wherever it is.
type Life struct {
	m    *Model
	post func(func(now time.Time))
	dead bool

	frozen bool
	held   []*strand // that would have gone on since
}

// Life begins one, whose loop is called by post.
func (m *Model) Life(post func(func(now time.Time))) *Life { return &Life{m: m, post: post} }

// Kill ends it.
func (l *Life) Kill() { l.dead = true }

// Freeze holds all of it up that runs beside the loop, and Thaw has it go on.
func (l *Life) Freeze() { l.frozen = true }

// Thaw is said at Freeze.
func (l *Life) Thaw() {
	held := l.held
	l.frozen, l.held = false, nil
	for _, s := range held {
		l.m.at(l.m.way(), func() { l.m.resume(s) })
	}
}

// Dead reports whether it was killed.
func (l *Life) Dead() bool { return l.dead }

// A strand is a job beside a loop.
type strand struct {
	life  *Life
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
}

// killed is what a strand ends with whose process was killed.
type killed struct{}

// Beside is the [loop.Beside] of a process.
func (l *Life) Beside(job func() func(time.Time)) {
	m := l.m
	s := &strand{life: l}
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if e := recover(); e != nil && e != (killed{}) {
				panic(fmt.Sprintf("%v\n%s", e, debug.Stack())) // whose stack it is would be lost
			}
		}()
		s.yield = yield
		if back := job(); back != nil {
			m.at(m.way(), func() {
				if !l.dead {
					l.post(back)
				}
			})
		}
	})
	m.strands = append(m.strands, s)
	m.at(m.way(), func() { m.resume(s) })
}

var _ loop.Beside = (*Life)(nil).Beside

// resume goes on with a strand until it waits again, or ends.
func (m *Model) resume(s *strand) {
	switch {
	case s.life.dead:
		return
	case s.life.frozen:
		s.life.held = append(s.life.held, s)
		return
	}
	before := m.current
	m.current = s
	s.next()
	m.current = before
}

// yield holds the strand at hand up until it is resumed.
func (m *Model) yield() {
	s := m.current
	if !s.yield(struct{}{}) {
		panic(killed{})
	}
}

// park holds it up for so long.
func (m *Model) park(d time.Duration) {
	s := m.current
	m.at(d, func() { m.resume(s) })
	m.yield()
}

// Pause waits, as a program's own pauses do.
func (m *Model) Pause(_ context.Context, d time.Duration) { m.park(d) }

// Step holds up whoever is beside a loop for a moment, in which it may be killed; the world
// and its programs it does not.
func (m *Model) Step() { m.StepUntil(time.Time{}) }

// StepUntil is as Step, and lasts at least until at.
func (m *Model) StepUntil(at time.Time) {
	if m.current != nil {
		m.park(max(0, at.Sub(m.world.Now())) + m.way())
	}
}

// Close ends all that is still held up.
func (m *Model) Close() {
	for _, s := range m.strands {
		s.stop()
	}
	m.strands = nil
}
