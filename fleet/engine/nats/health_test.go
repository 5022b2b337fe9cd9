package nats

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"mdalp/fleet/internal/engines"
)

// A server that is behind for a moment is no reason to call anybody; one that stays so is.
func TestBehind(t *testing.T) {
	t.Parallel()
	c := engines.Start(t, 3, engines.Options{})
	c.Ready(t)
	e := dial(t, c, Options{})
	if _, err := e.Create(short(t, patience), record()); err != nil {
		t.Fatal(err)
	}
	ledger := e.streams()[0].Name
	warned := func() bool {
		return slices.ContainsFunc(e.Streams(t.Context()), func(s Stream) bool { return len(s.Warnings) > 0 })
	}
	// A busy machine may need longer to catch up, now and then.
	all := short(t, patience)
	for round := 1; ; round++ {
		settle(t, e)
		leader := e.look(t.Context(), ledger).Leader
		s := c.Servers[slices.IndexFunc(c.Servers, func(s *engines.Server) bool { return s.Name != leader })]
		if err := syscall.Kill(s.Pid(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Create(short(t, patience), record()); err != nil {
			t.Fatal(err)
		}
		for ctx := short(t, patience); !e.look(ctx, ledger).follows(); {
			if ctx.Err() != nil {
				t.Fatal("who is stopped is not behind")
			}
		}
		for round == 1 && !warned() { // of what does not answer in time nothing is known
			if all.Err() != nil {
				t.Fatal("who stays behind is not told")
			}
		}
		// It goes on while it is being looked at.
		on := make(chan error)
		time.AfterFunc(5*lookAgain, func() { on <- syscall.Kill(s.Pid(), syscall.SIGCONT) })
		told := warned()
		if err := <-on; err != nil {
			t.Fatal(err)
		}
		if !told {
			return
		}
		if all.Err() != nil {
			t.Fatal("whoever is behind for a moment is told")
		}
	}
}
