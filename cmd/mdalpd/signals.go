package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"mdalp/internal/manager"
)

// tick is how late a timer of the server may be.
const tick = 10 * time.Millisecond

// notify gives the signals that mean something to it. SIGHUP is left alone where it was
// ignored from the start, as by nohup(1).
func notify() chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

// heed does what signals ask for until over is closed. Each one that asks for the end
// takes a step: no offers any more, and a time in which transactions may end; then stop,
// which ends the loop; then hurry, which ends the wait for what is done beside it.
func (d *daemon) heed(calls <-chan os.Signal, over <-chan struct{}, stop, hurry func()) {
	steps := []func(){d.offerNoMore(stop), stop, hurry}
	switch {
	case d.passed:
		// What comes from now on is for the next process, and waits in the sockets until it is
		// there. To go on reading would be to drop intents.
		steps = steps[1:]
	case d.drain == 0:
		steps[0] = func() {
			d.waker.Post(func(now time.Time) { d.linger(now, stop) })
		}
	}
	for {
		select {
		case <-over:
			return
		case s := <-calls:
			switch {
			case s == syscall.SIGQUIT || s == syscall.SIGUSR1:
				d.waker.Post(func(time.Time) { d.counters() })
			case len(steps) > 0:
				d.manager.Tell(manager.Stopping)
				steps[0]()
				steps = steps[1:]
			}
		}
	}
}

// offerNoMore gives the first step: it has the server drain, and stop called when the time
// for that is over.
func (d *daemon) offerNoMore(stop func()) func() {
	return func() {
		d.waker.Post(func(now time.Time) {
			d.log.Info("no offers any more", "open", d.Open(), "waiting", d.Waiting(), "drain", d.drain)
			d.Drain(now)
		})
		time.AfterFunc(d.drain, stop)
	}
}

// linger ends the loop once no payload is whole and only waits for its silence, which
// takes no longer than --idle: its client was told that all was acknowledged, so whoever
// ends the server looks for it in the store. Time in which the loop stood still is neither
// silence nor part of that wait.
func (d *daemon) linger(now time.Time, stop func()) {
	d.Drain(now) // a standstill until now is seen by this, before anything is compared
	n, until := d.Unsettled()
	if !d.lingers {
		d.lingers = true
		d.most = now.Add(d.idle - d.Stood())
		if n > 0 {
			d.log.Info("no offers any more; payloads that are whole may be silent first, "+
				"a second signal ends it at once",
				"payloads", n, "most", d.idle)
		}
	}
	most := d.most.Add(d.Stood())
	if n == 0 || !now.Before(most) {
		stop()
		return
	}
	if until.After(most) {
		until = most
	}
	// The timer of a transaction may be a little late.
	time.AfterFunc(until.Sub(now)+tick, func() {
		d.waker.Post(func(now time.Time) { d.linger(now, stop) })
	})
}
