package loop

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func waker(t *testing.T) *Waker {
	t.Helper()
	w, err := NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// Posts from other goroutines wake a loop that sleeps, are called in order and by the
// loop's goroutine, and what they post has its turn.
func TestWaker(t *testing.T) {
	w := waker(t)
	s := listen(t, "127.0.0.1:0", Options{})
	p := &program{t: t}
	var got []int
	tid := 0
	post := func(n int) {
		w.Post(func(now time.Time) {
			p.see(now)
			if id := unix.Gettid(); tid != 0 && id != tid {
				t.Errorf("called by thread %d, the loop's is %d", id, tid)
			} else {
				tid = id
			}
			got = append(got, n)
			if n == 20 {
				w.Post(func(now time.Time) { p.see(now); p.end = true })
			}
		})
	}
	post(0) // before the Run
	h := &hooked{program: p}
	calls := 0
	h.next = func() {
		if calls++; calls == 1 {
			go func() {
				for n := range 20 {
					post(n + 1)
				}
			}()
		}
	}
	if err := w.Run(context.Background(), h, s); err != nil {
		t.Fatal(err)
	}
	for i, n := range got {
		if i != n {
			t.Fatalf("called %v", got)
		}
	}
	if len(got) != 21 {
		t.Errorf("called %v", got)
	}
	// Cancelled as any Run is, and usable again after that.
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(context.Background())
	p.end = false
	w.Post(func(time.Time) { cancel(why) })
	if err := w.Run(ctx, p, s); err != why {
		t.Errorf("cancelled: %v", err)
	}
	w.Post(func(time.Time) { p.end = true })
	if err := w.Run(context.Background(), p, s); err != nil {
		t.Error(err)
	}
	// Without a Run.
	at := time.Unix(1, 0)
	var seen time.Time
	w.Post(func(now time.Time) { seen = now })
	if w.Flush(at); seen != at {
		t.Errorf("flushed at %v", seen)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	w.Post(func(time.Time) { t.Error("called by a closed Waker") })
	w.Flush(at)
	if err := w.Run(context.Background(), p, s); err != errClosed {
		t.Errorf("a closed Waker runs: %v", err)
	}
}

// A post is called after the datagrams of its round and before what is due.
func TestWakerOrder(t *testing.T) {
	w := waker(t)
	s := listen(t, "127.0.0.1:0", Options{})
	p := &program{t: t}
	order := ""
	p.receive = func(time.Time, *Envelope, []byte) { order += "r" }
	p.expire = func(now time.Time) {
		if order += "e"; len(order) > 1 {
			p.end = true
			return
		}
		// All three are there at the next wake-up.
		p.say(0, s.LocalAddr(), "x")
		w.Post(func(time.Time) { order += "p" })
		p.next = now.Add(1)
	}
	p.next = time.Now()
	if err := w.Run(context.Background(), p, s); err != nil {
		t.Fatal(err)
	}
	if order != "erpe" {
		t.Errorf("order %q", order)
	}
}

func TestBeside(t *testing.T) {
	w := waker(t)
	beside := w.Beside(2)
	const n = 20
	slots := make(chan int, n) // how many run as each one starts
	running := make(chan struct{}, n)
	var got []int
	for i := range n {
		beside(func() func(time.Time) {
			running <- struct{}{}
			slots <- len(running)
			<-running
			if i%5 == 4 {
				return nil
			}
			return func(time.Time) { got = append(got, i) }
		})
	}
	if err := w.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 0 {
		t.Error("called before the Flush")
	}
	w.Flush(time.Now())
	if len(got) != n-n/5 {
		t.Errorf("called back %v", got)
	}
	for range n {
		if k := <-slots; k > 2 {
			t.Errorf("%d at once", k)
		}
	}
	// Nothing to wait for, and no time to.
	if err := w.Wait(context.Background()); err != nil {
		t.Error(err)
	}
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	hold := make(chan struct{})
	beside(func() func(time.Time) { <-hold; return nil })
	if err := w.Wait(ctx); err != why {
		t.Errorf("gave %v", err)
	}
	close(hold)
	if err := w.Wait(context.Background()); err != nil {
		t.Error(err)
	}
}

// A context that ends while something is posted ends the Run, in whatever order the loop
// hears of the two.
func TestWakerCancelled(t *testing.T) {
	for range 2000 {
		w, err := NewWaker()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			w.Post(func(time.Time) {})
			cancel()
		}()
		if err := w.Run(ctx, waiter{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("it ends with %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A waiter is a program that waits for ever.
type waiter struct{}

func (waiter) Receive(time.Time, *Envelope, []byte)                              {}
func (waiter) Fail(time.Time, *Envelope, error)                                  {}
func (waiter) Expire(time.Time)                                                  {}
func (waiter) Transmit(_ time.Time, _ *Envelope, b []byte) (out []byte, ok bool) { return b, false }
func (waiter) Next() (time.Time, bool)                                           { return time.Now().Add(time.Hour), true }
