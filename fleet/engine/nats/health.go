package nats

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Stream is how the engine keeps one of the fleet's buckets or streams.
type Stream struct {
	Name     string   `json:"name"`
	Leader   string   `json:"leader"`   // server that answers for it; empty is none
	Replicas []Copy   `json:"replicas"` // the others that keep it
	Messages uint64   `json:"messages"`
	Bytes    uint64   `json:"bytes"`
	MaxBytes int64    `json:"max_bytes"`
	Problem  string   `json:"problem,omitempty"` // why nothing is known of it
	Warnings []string `json:"warnings,omitempty"`
}

// A Copy is a server that keeps a stream, and does not lead.
type Copy struct {
	Name    string `json:"name"`
	Current bool   `json:"current"` // it has all that there is
	Offline bool   `json:"offline,omitempty"`
	Lag     uint64 `json:"lag"` // writes that it is behind
	// SilentMS is for how many milliseconds nothing was heard of it.
	SilentMS int64 `json:"silent_ms"`
}

// A server is behind by what is under way to it, at any instant in which something is written. It
// needs somebody only if it is so in each of a few looks.
const (
	looks     = 20
	lookAgain = 100 * time.Millisecond
)

// Streams tells how all are kept. One that does not answer before ctx is done has a Problem.
func (e *Engine) Streams(ctx context.Context) []Stream {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var all []Stream
	for _, c := range e.streams() {
		all = append(all, e.look(ctx, c.Name))
	}
	for n := 1; n < looks && slices.ContainsFunc(all, Stream.follows); n++ {
		if !wait(ctx, lookAgain) {
			return all
		}
		for k := range all {
			if all[k].follows() {
				// An answer that does not come any more tells less than the last one.
				if s := e.look(ctx, all[k].Name); s.Problem == "" {
					all[k] = s
				}
			}
		}
	}
	return all
}

// follows reports whether a server is behind that is there.
func (s Stream) follows() bool {
	return slices.ContainsFunc(s.Replicas, func(c Copy) bool { return !c.Current && !c.Offline })
}

// look is what is known of a stream now.
func (e *Engine) look(ctx context.Context, name string) Stream {
	s := Stream{Name: name}
	if err := e.inspect(ctx, &s); err != nil {
		s.Problem = err.Error()
	}
	return s
}

// inspect fills in what is known of a stream.
func (e *Engine) inspect(ctx context.Context, s *Stream) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	stream, err := e.js.Stream(ctx, s.Name)
	if err != nil {
		return err
	}
	i := stream.CachedInfo() // of now: js.Stream has asked for it
	s.Messages, s.Bytes, s.MaxBytes = i.State.Msgs, i.State.Bytes, i.Config.MaxBytes
	// The oldest of what has settled goes where nobody takes it: that is as it should be.
	untaken := i.Config.Discard == jetstream.DiscardOld && i.State.Consumers == 0
	if s.MaxBytes > 0 && s.Bytes > uint64(s.MaxBytes)/10*8 && !untaken {
		s.Warnings = append(s.Warnings, fmt.Sprintf("it is full to %d %%", 100*s.Bytes/uint64(s.MaxBytes)))
		if i.Config.Discard == jetstream.DiscardOld {
			s.Warnings = append(s.Warnings, "those who take from it are behind, and the oldest go")
		}
	}
	if i.Config.Replicas == 1 {
		s.Warnings = append(s.Warnings, "one server alone keeps it")
	}
	if i.Cluster == nil {
		return nil
	}
	s.Leader = i.Cluster.Leader
	for _, p := range i.Cluster.Replicas {
		s.Replicas = append(s.Replicas,
			Copy{p.Name, p.Current, p.Offline, p.Lag, p.Active.Milliseconds()})
		if p.Offline || !p.Current {
			s.Warnings = append(s.Warnings, "server "+p.Name+" is behind or away")
		}
	}
	return nil
}
