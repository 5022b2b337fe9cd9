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

// heed does what signals ask for until over is closed. stop ends the loop, and hurry what
// comes after that.
func (d *daemon) heed(calls <-chan os.Signal, over <-chan struct{}, stop, hurry func()) {
	ending := false
	for {
		select {
		case <-over:
			return
		case s := <-calls:
			switch {
			case s == syscall.SIGQUIT || s == syscall.SIGUSR1:
				d.waker.Post(func(time.Time) { d.counters() })
			case ending:
				stop()
				hurry()
			case d.drain > 0:
				ending = true
				d.waker.Post(func(now time.Time) {
					d.log.Info("no offers any more", "open", d.Open(), "waiting", d.Waiting(), "drain", d.drain)
					d.Drain(now)
				})
				time.AfterFunc(d.drain, stop)
			default:
				ending = true
				stop()
			}
		}
	}
}
