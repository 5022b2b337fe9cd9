package model_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/conform"
	"mdalp/fleet/engine/model"
	"mdalp/internal/sim"
)

// A driven is a model that is called as other engines are: from any goroutine, and a call comes back
// when it is done. The world goes on for as long as somebody waits.
type driven struct {
	*model.Client
	t     *testing.T
	mu    sync.Mutex
	world *sim.World
	m     *model.Model
	life  *model.Life
}

// do has f called beside a loop, and the world go on until it is through.
func (d *driven) do(f func()) {
	d.mu.Lock()
	done := false
	d.life.Beside(func() func(time.Time) {
		f()
		done = true
		return nil
	})
	d.mu.Unlock()
	for {
		d.mu.Lock()
		if done {
			d.mu.Unlock()
			return
		}
		d.pass(time.Millisecond)
		d.mu.Unlock()
	}
}

func (d *driven) pass(by time.Duration) {
	if err := d.world.Advance(by); err != nil {
		d.t.Error(err)
	}
}

func (d *driven) Create(ctx context.Context, r *engine.Record) (rev uint64, err error) {
	d.do(func() { rev, err = d.Client.Create(ctx, r) })
	return rev, err
}

func (d *driven) Get(ctx context.Context, tid int64) (r *engine.Record, rev uint64, err error) {
	d.do(func() { r, rev, err = d.Client.Get(ctx, tid) })
	return r, rev, err
}

func (d *driven) Update(ctx context.Context, r *engine.Record, old uint64) (rev uint64, err error) {
	d.do(func() { rev, err = d.Client.Update(ctx, r, old) })
	return rev, err
}

func (d *driven) Unsettled(ctx context.Context) (es []engine.Entry, err error) {
	d.do(func() { es, err = d.Client.Unsettled(ctx) })
	return es, err
}

func (d *driven) Publish(ctx context.Context, r *engine.Record) (err error) {
	d.do(func() { err = d.Client.Publish(ctx, r) })
	return err
}

func (d *driven) Say(ctx context.Context, p *engine.Party) (err error) {
	d.do(func() { err = d.Client.Say(ctx, p) })
	return err
}

func (d *driven) Leave(ctx context.Context, p *engine.Party) (err error) {
	d.do(func() { err = d.Client.Leave(ctx, p) })
	return err
}

func (d *driven) Living(ctx context.Context) (ps []engine.Party, err error) {
	d.do(func() { ps, err = d.Client.Living(ctx) })
	return ps, err
}

func (d *driven) Said(ctx context.Context, id string) (p *engine.Party, rev uint64, err error) {
	d.do(func() { p, rev, err = d.Client.Said(ctx, id) })
	return p, rev, err
}

func (d *driven) Gone(ctx context.Context, id string) (gone bool, err error) {
	d.do(func() { gone, err = d.Client.Gone(ctx, id) })
	return gone, err
}

func (d *driven) Token(ctx context.Context, mine string) (token string, err error) {
	d.do(func() { token, err = d.Client.Token(ctx, mine) })
	return token, err
}

func (d *driven) Ask(ctx context.Context, a *engine.Ask, ids []string) (as []engine.Answer) {
	d.do(func() { as = d.Client.Ask(ctx, a, ids) })
	return as
}

// Serve implements engine.Mail. A receiver of the model serves until it dies, and not until a context
// is done: here each is a process of its own.
func (d *driven) Serve(ctx context.Context, id string, f func(engine.Ask, func(engine.Answer))) error {
	d.mu.Lock()
	life := d.m.Life(func(func(time.Time)) {})
	err := d.m.Client(life).Serve(ctx, id, f)
	d.mu.Unlock()
	<-ctx.Done()
	d.mu.Lock()
	defer d.mu.Unlock()
	life.Kill()
	return err
}

// The engine of the simulation does what the interface says.
func TestConform(t *testing.T) {
	w := sim.New(sim.Config{Seed: 1})
	m := model.New(w, sim.Epoch, 1, model.Faults{Delay: 20 * time.Millisecond})
	life := m.Life(func(func(time.Time)) {})
	d := &driven{Client: m.Client(life), t: t, world: w, m: m, life: life}
	conform.Run(t, conform.Subject{Engine: d, Pass: func(by time.Duration) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.pass(by)
	}, Now: func() time.Time {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.world.Now()
	}, Stream: func() (tids []int64) {
		for _, r := range m.Settled {
			tids = append(tids, r.TID)
		}
		return tids
	}, Go: func(f func()) { f() }}) // virtual time does not wait for goroutines
	m.Close()
}
