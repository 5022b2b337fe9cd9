package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

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
// takes a step: no offers any more, if there is a time for that; then stop, which ends the
// loop; then hurry, which ends the wait for what is done beside it.
func (d *daemon) heed(calls <-chan os.Signal, over <-chan struct{}, stop, hurry func()) {
	steps := []func(){d.offerNoMore(stop), stop, hurry}
	if d.drain == 0 {
		steps = steps[1:]
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
