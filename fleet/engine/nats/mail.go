package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	client "github.com/nats-io/nats.go"

	"mdalp/fleet/engine"
)

// Ask implements [engine.Mail]. A receiver that nobody speaks for is known at once; one that
// is cut off takes until ctx is done.
func (e *Engine) Ask(ctx context.Context, a *engine.Ask, receivers []string) []engine.Answer {
	ctx, cancel := bounded(ctx)
	defer cancel()
	question, err := json.Marshal(a)
	if err != nil {
		panic(err) // no field can fail
	}
	answers := make([]engine.Answer, len(receivers))
	var all sync.WaitGroup
	for i, r := range receivers {
		e.stats.asks.Add(1)
		all.Go(func() { answers[i] = e.ask(ctx, question, r) })
	}
	all.Wait()
	return answers
}

// ask asks one.
func (e *Engine) ask(ctx context.Context, question []byte, receiver string) (a engine.Answer) {
	m, err := e.conn.RequestWithContext(ctx, e.askSubject(receiver), question)
	if err != nil {
		a.Err = fmt.Errorf("%w from receiver %s: %w", engine.ErrNoAnswer, receiver, err)
		return a
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		a = engine.Answer{Err: fmt.Errorf("%w from receiver %s: %w", engine.ErrNoAnswer, receiver, err)}
	}
	return a
}

// Serve implements [engine.Mail]. The subscription outlives lost connections.
func (e *Engine) Serve(ctx context.Context, receiver string, f func(engine.Ask, func(engine.Answer))) error {
	sub, err := e.conn.Subscribe(e.askSubject(receiver), func(m *client.Msg) {
		var a engine.Ask
		if err := json.Unmarshal(m.Data, &a); err != nil {
			e.log.Warn("a question cannot be read", "error", err)
			return
		}
		f(a, func(answer engine.Answer) {
			b, err := json.Marshal(answer)
			if err == nil {
				err = m.Respond(b)
			}
			if err != nil { // who asked asks again
				e.log.Debug("an answer cannot be sent", "error", err)
			}
		})
	})
	if err != nil {
		return e.away(err)
	}
	<-ctx.Done()
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, client.ErrConnectionClosed) {
		return fmt.Errorf("nats: receiver %s: %w", receiver, err)
	}
	return nil
}
