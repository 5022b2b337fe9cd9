package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
)

// tokenKey is where the token of the fleet's directory stands.
const tokenKey = "token"

// partyKey is the key of a party. An ID has no dots.
func partyKey(p *engine.Party) string { return string(p.Role) + "." + p.ID }

// Say implements [engine.Registry]. Who says it anew puts the end off: the message with the
// shorter life is replaced. [jetstream.KeyValue] has a time to live for its Create alone, so
// this publishes what its Put does.
func (e *Engine) Say(ctx context.Context, p *engine.Party) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return err
	}
	e.stats.says.Add(1)
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	subject := "$KV." + e.partiesName() + "." + partyKey(p)
	_, err = e.js.Publish(ctx, subject, b, jetstream.WithMsgTTL(engine.Lives))
	return e.said(p, err)
}

// Leave implements [engine.Registry].
func (e *Engine) Leave(ctx context.Context, p *engine.Party) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return err
	}
	_, err := e.purge(ctx, partyKey(p), left, jetstream.WithMsgTTL(engine.Lives))
	return e.said(p, err)
}

// purge writes of a party's key that nothing is there, and why. [jetstream.KeyValue] has a Purge that
// says no more, and tells no revision.
func (e *Engine) purge(ctx context.Context, key, why string, o ...jetstream.PublishOpt) (uint64, error) {
	m := client.NewMsg("$KV." + e.partiesName() + "." + key)
	m.Header.Set("KV-Operation", "PURGE")
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Data = []byte(why)
	ack, err := e.js.PublishMsg(ctx, m, o...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// said gives the error of a call about p.
func (e *Engine) said(p *engine.Party, err error) error {
	switch {
	case err == nil:
		return nil
	case lasting(err):
		return fmt.Errorf("nats: %s %s: %w", p.Role, p.ID, err)
	}
	return e.away(err)
}

// Living implements [engine.Registry]. Somebody who is there says so every few seconds, so a
// view of which nothing is heard for longer is none of now.
func (e *Engine) Living(ctx context.Context) ([]engine.Party, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	e.meet()
	if err := e.living.reach(ctx, 0); err != nil {
		return nil, e.away(err)
	}
	var all []engine.Party
	heard := e.living.each(func(s seen) { all = append(all, *s.value.(*engine.Party)) })
	if time.Since(heard) > e.living.quiet {
		return nil, e.away(errQuiet)
	}
	slices.SortFunc(all, func(a, b engine.Party) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// Said implements [engine.Registry].
func (e *Engine) Said(ctx context.Context, receiver string) (*engine.Party, uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return nil, 0, err
	}
	key := partyKey(&engine.Party{Role: engine.Receiver, ID: receiver})
	try, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	u, err := e.parties.Get(try, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, e.away(err)
	}
	p, _ := e.party(key, u.Value()).(*engine.Party)
	return p, u.Revision(), nil
}

// Gone implements [engine.Registry]. A write of now goes before: when that is told, all is that came
// before it.
func (e *Engine) Gone(ctx context.Context, receiver string) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return false, err
	}
	e.meet()
	before, began := e.living.told(), time.Now()
	revision, err := e.marks.after(ctx)
	if err == nil && revision <= before { // the bucket was made anew
		e.living.restart()
	}
	if err == nil {
		err = e.living.reach(ctx, revision)
	}
	if err != nil {
		return false, e.away(err)
	}
	return e.living.silent(partyKey(&engine.Party{Role: engine.Receiver, ID: receiver}), began), nil
}

// markEvery is how often this process marks the registry, at most. A mark that replaces another before
// that was told to all has them miss a revision, and what was missed may have been anybody's.
const markEvery = time.Second

// markParties writes what is of nobody, and gives its revision. The key is this process's own, so that
// it replaces no other's mark.
func (e *Engine) markParties(ctx context.Context) (uint64, error) {
	e.stats.syncs.Add(1)
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return e.purge(ctx, syncKey+"."+e.id, "", jetstream.WithMsgTTL(engine.Lives))
}

// party keeps, of the registry, whom it can read.
func (e *Engine) party(key string, value []byte) any {
	p, err := engine.ParseParty(value)
	if err == nil && partyKey(p) != key {
		err = fmt.Errorf("it is %s %s", p.Role, p.ID)
	}
	if err != nil {
		e.spoiled(key, err)
		return nil
	}
	return p
}

// Token implements [engine.Registry].
func (e *Engine) Token(ctx context.Context, mine string) (string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return "", err
	}
	for {
		token, err := e.token(ctx, mine)
		switch {
		case err == nil:
			if token == mine {
				e.mu.Lock()
				e.joined = mine
				e.mu.Unlock()
			}
			return token, nil
		case lasting(err) && !wrongRevision(err):
			return "", fmt.Errorf("nats: the directory's token: %w", err)
		case !wait(ctx, pause):
			return "", e.away(err)
		}
	}
}

// token is one try. Only what is read counts: a write whose outcome is not told may be there.
func (e *Engine) token(ctx context.Context, mine string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	there, err := e.fixed.Get(ctx, tokenKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		if _, err = e.fixed.Create(ctx, tokenKey, []byte(mine)); err == nil {
			return mine, nil
		}
	}
	if err != nil {
		return "", err
	}
	return string(there.Value()), nil
}
