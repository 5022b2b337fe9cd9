package sched

import (
	"testing"
	"time"
)

// TestRefused: what a refusal of receiver 0 means, after what came before. Each step is a
// receiver that acknowledges what is out there, or 0's refusal; the last refusal decides.
func TestRefused(t *testing.T) {
	const refuse, resend = -1, -2
	for _, c := range []struct {
		name  string
		cfg   TransferConfig
		steps []int
		want  bool
	}{
		{"it never acknowledged anything", TransferConfig{}, nil, true},
		{"and others did", TransferConfig{}, []int{1, 2}, true},
		{"it did", TransferConfig{}, []int{0}, false},
		{"others go on", TransferConfig{}, []int{0, 1}, false},
		{"the same transmission", TransferConfig{}, []int{0, refuse, 1}, false},
		{"the next try", TransferConfig{}, []int{0, refuse, resend}, false},
		{"the next try, and another goes on", TransferConfig{}, []int{0, refuse, 1, resend}, true},
		{"nobody may take over", TransferConfig{NoFailover: true}, []int{0, refuse, 1, resend}, false},
		{"the other went on before", TransferConfig{}, []int{0, 1, refuse, resend}, false},
		{"it acknowledged meanwhile", TransferConfig{}, []int{0, refuse, 1, resend, 0}, false},
	} {
		x := NewTransfer(epoch, []int64{1000, 1000, 1000}, c.cfg)
		now := epoch
		seq := [3]int64{0, 10, 20}
		send := func() {
			for {
				if _, _, ok := x.Transmit(now); !ok {
					return
				}
			}
		}
		send()
		for _, s := range c.steps {
			now = now.Add(time.Millisecond)
			switch s {
			case refuse:
				if x.Refused(now, 0) {
					t.Errorf("%s: the first refusal ends it", c.name)
				}
				x.Hint(now, 0)
			case resend:
				now = now.Add(100 * time.Millisecond)
				x.Expire(now)
				send()
			default:
				if o := x.Ack(now, s, seq[s]); o != Fresh {
					t.Fatalf("%s: ack of %d is %v", c.name, seq[s], o)
				}
				seq[s]++
				send()
			}
		}
		if got := x.Refused(now.Add(time.Millisecond), 0); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}

// TestRefusedByTwo: receivers that refuse both do not speak for each other, whoever
// acknowledged something last.
func TestRefusedByTwo(t *testing.T) {
	x := NewTransfer(epoch, []int64{1000, 1000}, TransferConfig{})
	send := func(at time.Time) {
		for {
			if _, _, ok := x.Transmit(at); !ok {
				return
			}
		}
	}
	now := epoch
	after := func(ms int) time.Time { now = now.Add(time.Duration(ms) * time.Millisecond); return now }
	send(now)
	x.Ack(after(1), 0, 0)
	x.Ack(after(1), 1, 10)
	send(now)
	refused := []bool{x.Refused(after(1), 0)}
	x.Ack(after(1), 1, 11) // it was under way
	send(now)
	refused = append(refused, x.Refused(after(1), 1))
	for range 2 {
		x.Expire(after(1000))
		send(now)
		refused = append(refused, x.Refused(after(1), 0), x.Refused(after(1), 1))
	}
	for k, r := range refused {
		if r {
			t.Errorf("refusal %d ends a receiver", k)
		}
	}
}

// TestRefusedNum: in flight when a port closes is much; only a probe that is refused counts.
func TestRefusedNum(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   ExtendedConfig
		heard bool // 0 acknowledged something before
		other bool // 1 does so after the refusal
		probe bool // the refusal is a probe's
		want  bool
	}{
		{"it never acknowledged anything", ExtendedConfig{}, false, false, false, true},
		{"what was in flight", ExtendedConfig{}, true, true, false, false},
		{"a probe, and nobody answers", ExtendedConfig{}, true, false, true, false},
		{"a probe, and another goes on", ExtendedConfig{}, true, true, true, true},
		{"nobody may take over", ExtendedConfig{NoFailover: true}, true, true, true, false},
	} {
		x := NewExtended(epoch, 100*1000, 1000, []ExtendedReceiver{{Window: 4, Share: 50}, {Window: 4, Share: 50}}, c.cfg)
		now := epoch
		var last [2]int64
		send := func() {
			for {
				i, _, num, ok := x.TransmitNum(now)
				if !ok {
					return
				}
				last[i] = num
			}
		}
		send()
		if now = now.Add(10 * time.Millisecond); c.heard {
			x.AckRanges(now, 0, []Range{{First: 0, Last: 1}})
			if send(); x.RefusedNum(now, 0, 2) {
				t.Errorf("%s: the first refusal ends it", c.name)
			}
		}
		if now = now.Add(10 * time.Millisecond); c.other {
			x.AckRanges(now, 1, []Range{{First: 0, Last: 1}})
			send()
		}
		if c.probe {
			for x.Flow(0).Silent == 0 {
				now = now.Add(10 * time.Millisecond)
				x.Expire(now)
			}
			send()
		}
		if got := x.RefusedNum(now, 0, last[0]); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
