package sched

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var epoch = time.Unix(1_000_000, 0)

// at is an instant, in milliseconds from the epoch.
func at(ms int64) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// drain takes all that may be sent at now.
func drain(t *Transfer, now time.Time) map[int]Segment {
	got := map[int]Segment{}
	for {
		i, s, ok := t.Transmit(now)
		if !ok {
			return got
		}
		got[i] = s
	}
}

// TestTransferCapture cuts the capture's payload: 51 segments, the last of each
// range short, and sequence numbers that run on.
func TestTransferCapture(t *testing.T) {
	tr := NewTransfer(epoch, []int64{963, 1981, 2056}, TransferConfig{})
	if tr.Total() != 51 {
		t.Fatalf("total = %d, want 51", tr.Total())
	}
	var got []Segment
	var who []int
	now := epoch
	for !tr.Done() {
		now = now.Add(time.Millisecond)
		sent := drain(tr, now)
		for i := range 3 {
			s, ok := sent[i]
			if !ok {
				continue
			}
			got = append(got, s)
			who = append(who, i)
			if o := tr.Ack(now, i, s.Seq); o != Fresh {
				t.Fatalf("ack of %d: %d", s.Seq, o)
			}
		}
	}
	if len(got) != 51 {
		t.Fatalf("%d segments were sent, want 51", len(got))
	}
	first := []int64{0, 10, 30}
	end := []int64{10, 30, 51}
	off := []int64{0, 963, 2944}
	tail := map[int64]int{9: 63, 29: 81, 50: 56}
	next := append([]int64(nil), first...)
	for k, s := range got {
		i := who[k]
		want := Segment{Seq: next[i], Off: off[i] + (next[i]-first[i])*100, Len: 100, Try: 1}
		if l, ok := tail[s.Seq]; ok {
			want.Len = l
		}
		if s != want || s.Seq >= end[i] {
			t.Errorf("receiver %d: %+v, want %+v", i, s, want)
		}
		next[i]++
	}
}

func TestTransferAck(t *testing.T) {
	// Receiver 0 carries SEQ 0..9, receiver 1 SEQ 10..19. SEQ 0 is acknowledged, 1
	// and 10 are out.
	start := func() *Transfer {
		tr := NewTransfer(epoch, []int64{1000, 1000}, TransferConfig{})
		drain(tr, at(0))
		tr.Ack(at(10), 0, 0)
		drain(tr, at(10))
		return tr
	}
	for _, c := range []struct {
		name string
		i    int
		seq  int64
		want Outcome
	}{
		{"the one that is out", 0, 1, Fresh},
		{"the one before", 0, 0, Duplicate},
		{"the next", 0, 2, Unsent},
		{"another receiver's", 0, 10, Unsent},
		{"another receiver's first", 1, 0, Unsent},
		{"the end of the range", 0, 10, Unsent},
		{"beyond everything", 1, 20, Unsent},
		{"giant", 1, 1<<63 - 1, Unsent},
		{"negative", 1, -1, Unsent},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := start()
			left := tr.Left()
			if got := tr.Ack(at(20), c.i, c.seq); got != c.want {
				t.Errorf("Ack = %d, want %d", got, c.want)
			}
			if c.want == Fresh {
				left--
			}
			if tr.Left() != left {
				t.Errorf("left = %d, want %d", tr.Left(), left)
			}
			sent := drain(tr, at(20))
			if c.want != Fresh && len(sent) != 0 {
				t.Errorf("it drew %v", sent)
			}
		})
	}
}

// TestTransferKarn: an ack of a segment sent twice measures nothing.
func TestTransferKarn(t *testing.T) {
	tr := NewTransfer(epoch, []int64{300}, TransferConfig{})
	drain(tr, at(0))
	tr.Expire(at(2999))
	if got := drain(tr, at(2999)); len(got) != 0 {
		t.Fatalf("sent again too early: %v", got)
	}
	due, ok := tr.Next()
	if !ok || due.After(at(3002)) {
		t.Fatalf("Next = %v, %v; want about 3 s", due.Sub(epoch), ok)
	}
	tr.Expire(at(3002))
	if got := drain(tr, at(3002)); got[0].Try != 2 || got[0].Seq != 0 {
		t.Fatalf("sent %v, want SEQ 0 again", got)
	}
	tr.Ack(at(3010), 0, 0)
	if st := tr.Stats(0); st.Samples != 0 || st.Acked != 1 || st.Resent != 1 || st.Timeouts != 1 {
		t.Errorf("stats %+v: want no sample", *st)
	}
	drain(tr, at(3010))
	tr.Ack(at(3110), 0, 1)
	if st := tr.Stats(0); st.Samples != 1 || st.AckMin != 100*time.Millisecond || st.AckMax != st.AckMin || st.AckMean() != st.AckMin {
		t.Errorf("stats %+v: want one sample of 100 ms", *st)
	}
}

// TestTransferDead: the tries are used up, and what then.
func TestTransferDead(t *testing.T) {
	run := func(cfg TransferConfig, n int) (*Transfer, int) {
		shares := make([]int64, n)
		for i := range shares {
			shares[i] = 500
		}
		tr := NewTransfer(epoch, shares, cfg)
		now, silent := epoch, 0
		for range 10_000 {
			for i, s := range drain(tr, now) {
				if i == 0 {
					silent++
				} else {
					tr.Ack(now, i, s.Seq)
				}
			}
			if tr.Done() {
				return tr, silent
			}
			now = now.Add(100 * time.Millisecond)
			tr.Expire(now)
		}
		t.Fatal("it never ends")
		return nil, 0
	}
	t.Run("others take over", func(t *testing.T) {
		tr, tries := run(TransferConfig{}, 3)
		if tries != DefaultTries || tr.Left() != 0 || len(tr.Missing()) != 0 {
			t.Errorf("tries %d, left %d, missing %v", tries, tr.Left(), tr.Missing())
		}
		if st := tr.Stats(0); !errors.Is(st.Err, ErrTries) || st.Gave != 5 {
			t.Errorf("dead receiver: %+v", *st)
		}
		if took := tr.Stats(1).Took + tr.Stats(2).Took; took != 5 {
			t.Errorf("took over %d segments, want 5", took)
		}
	})
	t.Run("nobody may", func(t *testing.T) {
		tr, tries := run(TransferConfig{NoFailover: true, Tries: 3}, 3)
		if tries != 3 || tr.Left() != 5 {
			t.Errorf("tries %d, left %d", tries, tr.Left())
		}
		if diff := cmp.Diff([]Span{{0, 5, 0, 500}}, tr.Missing()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("nobody is left", func(t *testing.T) {
		tr, tries := run(TransferConfig{Tries: 2}, 1)
		if tries != 2 || tr.Living() != 0 || len(tr.Missing()) != 1 {
			t.Errorf("tries %d, living %d, missing %v", tries, tr.Living(), tr.Missing())
		}
	})
}

// TestTransferRevive: the late ack of a receiver thought dead brings it back, and
// delivers nothing twice.
func TestTransferRevive(t *testing.T) {
	tr := NewTransfer(epoch, []int64{200, 200}, TransferConfig{})
	drain(tr, at(0))
	tr.Kill(at(1), 0, errors.New("refused"))
	if tr.Living() != 1 || tr.Stats(1).Took != 2 {
		t.Fatalf("living %d, took %d", tr.Living(), tr.Stats(1).Took)
	}
	if got := tr.Ack(at(2), 0, 0); got != Duplicate {
		t.Errorf("late ack: %d, want Duplicate", got)
	}
	if tr.Living() != 2 || tr.Left() != 4 {
		t.Errorf("living %d, left %d; want 2, 4", tr.Living(), tr.Left())
	}
	var seqs []int64
	tr.Ack(at(3), 1, 2)
	for !tr.Done() {
		for i, s := range drain(tr, at(3)) {
			seqs = append(seqs, s.Seq)
			tr.Ack(at(3), i, s.Seq)
		}
	}
	if diff := cmp.Diff([]int64{3, 0, 1}, seqs); diff != "" {
		t.Error(diff)
	}
}

// TestTransferOutstanding: the receive buffer bounds what is out.
func TestTransferOutstanding(t *testing.T) {
	tr := NewTransfer(epoch, []int64{100, 100, 100, 100}, TransferConfig{Outstanding: 3})
	if got := drain(tr, at(0)); len(got) != 3 {
		t.Fatalf("%d are out, want 3", len(got))
	}
	tr.Ack(at(1), 1, 1)
	if got := drain(tr, at(1)); len(got) != 1 || got[3].Seq != 3 {
		t.Fatalf("then %v, want receiver 3's", got)
	}
}

// TestTransferRandom drives transfers with arbitrary acks, losses and deaths and
// checks after every step that at most one segment is out at each receiver, that
// every segment is acknowledged once, and that it ends.
func TestTransferRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "receivers")
		shares := make([]int64, n)
		var size int64
		for i := range shares {
			shares[i] = rapid.Int64Range(0, 1500).Draw(t, "share")
			size += shares[i]
		}
		tr := NewTransfer(epoch, shares, TransferConfig{
			Tries: 3, Adaptive: rapid.Bool().Draw(t, "adaptive"), Outstanding: rapid.IntRange(0, 4).Draw(t, "outstanding"),
		})
		acked := map[int64]bool{}
		out := map[int]Segment{}
		covered := make([]bool, size)
		now := epoch
		for step := 0; !tr.Done() && step < 3000; step++ {
			for i, s := range drain(tr, now) {
				if was, is := out[i]; is && was.Seq != s.Seq {
					t.Fatalf("receiver %d: SEQ %d and %d are out", i, was.Seq, s.Seq)
				}
				out[i] = s
			}
			i := rapid.IntRange(0, n-1).Draw(t, "who")
			s, is := out[i]
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0: // time passes
				now = now.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
				tr.Expire(now)
				for j := range n {
					if tr.Stats(j).Err != nil {
						delete(out, j)
					}
				}
			case 1:
				if tr.Ack(now, i, rapid.Int64Range(-1, 60).Draw(t, "seq")) == Fresh {
					mark(t, covered, s, acked)
					delete(out, i)
				}
			case 2:
				tr.Kill(now, i, ErrTries)
				delete(out, i)
			default:
				if is {
					if tr.Ack(now, i, s.Seq) == Fresh {
						mark(t, covered, s, acked)
					}
					delete(out, i)
				}
			}
			if int64(len(acked)) != tr.Total()-tr.Left() {
				t.Fatalf("%d segments are acknowledged, but %d of %d are left", len(acked), tr.Left(), tr.Total())
			}
			var gap int64
			for _, m := range tr.Missing() {
				gap += m.Len()
			}
			if gap != tr.Left() {
				t.Fatalf("%d are missing, %d left", gap, tr.Left())
			}
		}
		if tr.Left() == 0 {
			for b, ok := range covered {
				if !ok {
					t.Fatalf("byte %d was never sent", b)
				}
			}
		} else if tr.Living() > 0 && tr.Done() {
			t.Fatalf("it ended with %d left and %d living", tr.Left(), tr.Living())
		}
	})
}

// mark notes the bytes of an acknowledged segment.
func mark(t *rapid.T, covered []bool, s Segment, acked map[int64]bool) {
	if acked[s.Seq] {
		t.Fatalf("SEQ %d was acknowledged twice", s.Seq)
	}
	acked[s.Seq] = true
	for b := s.Off; b < s.Off+int64(s.Len); b++ {
		if covered[b] {
			t.Fatalf("byte %d was carried twice", b)
		}
		covered[b] = true
	}
}

// TestTransferAllocations: a segment there and back costs no memory.
func TestTransferAllocations(t *testing.T) {
	tr := NewTransfer(epoch, []int64{1 << 40, 1 << 40}, TransferConfig{})
	now := epoch
	if n := testing.AllocsPerRun(1000, func() {
		for {
			i, s, ok := tr.Transmit(now)
			if !ok {
				break
			}
			now = now.Add(time.Microsecond)
			if i == 0 && s.Seq%2 == 0 {
				now = now.Add(4 * time.Second)
				tr.Expire(now)
				continue
			}
			if tr.Ack(now, i, s.Seq) != Fresh {
				t.Fatal("not fresh")
			}
			break
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTransfer(b *testing.B) {
	for _, n := range []int{1, 64, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			shares := make([]int64, n)
			for i := range shares {
				shares[i] = 1 << 40
			}
			tr := NewTransfer(epoch, shares, TransferConfig{})
			now := epoch
			b.ReportAllocs()
			for b.Loop() {
				i, s, _ := tr.Transmit(now)
				tr.Ack(now, i, s.Seq)
				now = now.Add(4 * time.Microsecond)
			}
		})
	}
}
