package nats

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A view is what of a bucket is of interest, kept up to date by what the servers tell.
type view struct {
	kv   jetstream.KeyValue
	keep func(key string, value []byte) any // nil is of no interest
	// quiet is how long nothing may come before it begins anew; 0 is for ever. A bucket
	// that is written every few seconds has a server that tells nothing any more known.
	quiet time.Duration
	// lives is how long a value is there after it was told, by the local clock; 0 is until the
	// engine takes it away. That the engine says that its time is over counts for nothing then:
	// it says so by its servers' clocks, and the one that leads may have another than the one
	// that took the value, or one that was set.
	lives time.Duration

	mu       sync.Mutex
	all      map[string]seen
	revision uint64        // the highest that was told
	changed  chan struct{} // closed, and made anew, when revision rises
	heard    time.Time     // when anything was told last; zero when it is not up to date
	since    time.Time     // from when on nothing that was written was left out
	again    chan struct{} // asks for a new beginning
}

// seen is one key.
type seen struct {
	key      string
	value    any // nil where it cannot be read, or has left
	revision uint64
	heard    time.Time // by the local clock
	over     bool      // the engine has it no more
	left     bool      // it said so itself
}

// left is the value of a purge by which somebody leaves. The engine's own have none.
const left = "left"

func newView(kv jetstream.KeyValue, keep func(string, []byte) any) *view {
	return &view{kv: kv, keep: keep, all: make(map[string]seen), changed: make(chan struct{}),
		again: make(chan struct{}, 1)}
}

// run keeps the view up to date until ctx is done.
func (v *view) run(ctx context.Context, log *slog.Logger) {
	for ctx.Err() == nil {
		err := v.follow(ctx)
		v.mu.Lock()
		v.heard = time.Time{}
		v.mu.Unlock()
		if ctx.Err() == nil {
			log.Debug("what the engine tells of a bucket is read anew", "bucket", v.kv.Bucket(), "error", err)
			wait(ctx, pause)
		}
	}
}

var errQuiet = errors.New("nothing was told for too long")

// A reading is the first answer to a subscription, until it is whole.
type reading struct {
	all  map[string]seen
	most uint64 // the highest revision
}

// follow reads all, and then what changes, until something is wrong.
func (v *view) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	select { // of a subscription before this one
	case <-v.again:
	default:
	}
	w, err := v.kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer w.Stop()
	fresh := &reading{all: make(map[string]seen)}
	var quiet <-chan time.Time
	timer := time.NewTimer(max(v.quiet, bound))
	defer timer.Stop()
	if v.quiet > 0 {
		quiet = timer.C
	}
	for {
		select {
		case u, ok := <-w.Updates():
			switch {
			case !ok:
				return errors.New("the subscription ended")
			case u == nil:
				v.show(fresh)
				fresh = nil
			default:
				v.take(fresh, u)
			}
			timer.Reset(max(v.quiet, pause))
		case <-quiet:
			return errQuiet
		case <-v.again:
			return errors.New("it is behind")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take notes one change: in fresh, or when that is nil in what is shown.
func (v *view) take(fresh *reading, u jetstream.KeyValueEntry) {
	s := seen{key: u.Key(), revision: u.Revision(), heard: time.Now()}
	put := u.Operation() == jetstream.KeyValuePut
	if put {
		s.value = v.keep(s.key, u.Value())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	to := v.all
	if fresh != nil {
		to, fresh.most = fresh.all, max(fresh.most, s.revision)
		if old, ok := v.all[s.key]; ok && old.revision == s.revision {
			s.heard = old.heard // it is not news
		}
	} else {
		v.heard = s.heard
		// All keys are followed, so that revisions come one by one. What is replaced before it was
		// told is never told, nor that it was there.
		if s.revision > v.revision+1 {
			v.since = s.heard
		}
		v.rise(s.revision)
	}
	old, ok := to[s.key]
	switch {
	case s.value != nil, v.lives > 0 && put: // of what cannot be read it is known that it is there
		to[s.key] = s
	case v.lives > 0 && !put && string(u.Value()) == left:
		s.over, s.left = true, true
		to[s.key] = s
	case v.lives > 0 && !put:
		if old.over = true; ok {
			to[s.key] = old
		}
	default:
		delete(to, s.key)
	}
}

// show has the first answer shown, which is whole now. Who has said so a moment ago is there, also if
// that is not in it any more.
func (v *view) show(fresh *reading) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	for key, old := range v.all {
		if _, ok := fresh.all[key]; !ok && now.Sub(old.heard) < v.lives {
			old.over = true
			fresh.all[key] = old
		}
	}
	v.all, v.heard, v.since = fresh.all, now, now
	if v.revision = max(v.revision, fresh.most); v.lives > 0 {
		v.revision = fresh.most // a bucket in the servers' memory may have begun anew
	}
	v.wake()
}

// rise notes how far it is; v.mu is held.
func (v *view) rise(revision uint64) {
	if revision > v.revision {
		v.revision = revision
		v.wake()
	}
}

// told gives how far it is.
func (v *view) told() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.revision
}

// restart forgets what was told: it is of a bucket that is no more, whose numbers were higher.
func (v *view) restart() {
	v.mu.Lock()
	v.all, v.revision, v.heard = make(map[string]seen), 0, time.Time{}
	v.mu.Unlock()
	select {
	case v.again <- struct{}{}:
	default:
	}
}

// wake has those in reach look again; v.mu is held.
func (v *view) wake() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// reach waits until what was written at that revision has been told.
func (v *view) reach(ctx context.Context, revision uint64) error {
	for {
		v.mu.Lock()
		follows, changed := !v.heard.IsZero(), v.changed
		there := follows && v.revision >= revision
		v.mu.Unlock()
		if there {
			return nil
		}
		// A subscription whose server is gone may tell nothing for long. One that is not
		// through with its first answer is left alone.
		tick, cancel := context.WithTimeout(ctx, attempt)
		select {
		case <-changed:
		case <-tick.Done():
			if follows {
				select {
				case v.again <- struct{}{}:
				default:
				}
			}
		}
		cancel()
		if ctx.Err() != nil {
			return errors.New("what it has is not told to this party")
		}
	}
}

// each calls f for all that is there, in no order, and tells when anything was told last.
func (v *view) each(f func(seen)) (heard time.Time) {
	v.mu.Lock()
	all := make([]seen, 0, len(v.all))
	now := time.Now()
	for key, s := range v.all {
		switch {
		case v.lives > 0 && now.Sub(s.heard) >= v.lives:
			if s.over { // else it is told again, when all is read anew, and would be news
				delete(v.all, key)
			}
		case s.value != nil:
			all = append(all, s)
		}
	}
	heard = v.heard
	v.mu.Unlock()
	for _, s := range all {
		f(s)
	}
	return heard
}

// silent reports whether a key that was told of lives no more at that time, or has left. What was
// written before that time has been told.
func (v *view) silent(key string, at time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.all[key]
	if ok && s.left {
		return true
	}
	// Of what was left out nobody knows whether it was this key's.
	return at.Sub(s.heard) >= v.lives && at.Sub(v.since) >= v.lives
}
