package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"mdalp/internal/pcapng"
	"mdalp/wire"
)

// train makes an extended transfer to n receivers: each gets a window in each round, which
// doubles up to most, and of which the first is lost in the sixth round.
func train(n, most, rounds int) *scene {
	s := newScene(7, "192.0.2.11", n)
	var rs []wire.Receiver
	for _, a := range s.addrs {
		rs = append(rs, wire.Receiver{Host: a.Addr().String(), Seg: 1200, Win: 64})
	}
	s.datagrams[0].Data = wire.AppendOffer(nil, 7, rs)
	data := bytes.Repeat([]byte("x"), 1200)
	seq := int64(0)
	nums, window := make([]int64, n), make([]int, n)
	for round := range rounds {
		for r := range n {
			window[r] = max(1, min(most>>r, 2*window[r]))
			at := time.Duration(10+round*20+r) * time.Millisecond
			first := nums[r]
			for range window[r] {
				s.put(at, s.client(), s.addrs[r], append(wire.AppendSegmentHeader(nil, 7, seq, nums[r], 6, 6), data...))
				seq++
				nums[r]++
				at += 100 * time.Microsecond
			}
			if round == 5 {
				first++
				s.put(at, s.client(), s.addrs[r], append(wire.AppendSegmentHeader(nil, 7, seq-int64(window[r]), nums[r], 6, 6), data...))
				nums[r]++
			}
			s.put(at+10*time.Millisecond, s.addrs[r], s.client(), wire.AppendAckRanges(nil, 7, int64(round), []wire.Range{{First: first, Last: nums[r] - 1}}))
		}
	}
	return s
}

// TestCourse draws window and rate, of both protocols.
func TestCourse(t *testing.T) {
	extended, base := transfers(t, file(t, train(2, 32, 20)))[0], transfers(t, file(t, small()))[0]
	for _, c := range []struct {
		name string
		draw func(*transfer) (*picture, error)
		of   *transfer
		want []string
	}{
		{"window", window, extended, []string{"Segments in flight, TID 7", "segments in flight, the most of each step", "at most 33 of 64 offered", "at most 17 of 64 offered", "with segments sent again", "30"}},
		{"rate", rate, extended, []string{"Rate of acknowledgement, TID 7", "acknowledged payload (Mbit/s)", "with segments sent again"}},
		{"window of the base protocol", window, base, []string{"at most 1"}},
		{"rate of the base protocol", rate, base, []string{"Rate of acknowledgement, TID 7"}},
	} {
		p, err := c.draw(c.of)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := texts(t, rendered(t, p, "x.svg"))
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: no %q in %q", c.name, w, got)
			}
		}
	}
	if s := extended.receivers[0]; len(s.slots) == 0 || s.flight != 33 || s.win != 64 {
		t.Errorf("%+v", s)
	}
	// The sum of the bins is what was acknowledged.
	all, step := extended.bins()
	sum := int64(0)
	for _, bs := range all {
		for _, b := range bs {
			sum += b.acked
		}
		if len(bs) > maxBins {
			t.Errorf("%d bins", len(bs))
		}
	}
	if sum != extended.size || step <= 0 {
		t.Errorf("%d of %d bytes in bins of %g s", sum, extended.size, step)
	}
	// Every transmission that arrived is answered, and the one that was lost is not.
	if lost := extended.lost(); lost != 2 {
		t.Errorf("%d are unanswered", lost)
	}
	for _, draw := range []func(*transfer) (*picture, error){window, rate} {
		if _, err := draw(transfers(t, "testdata/stream.jsonl")[0]); err != errNoCourse {
			t.Errorf("events: %v", err)
		}
	}
}

// TestTooMany refuses pictures of single segments where not all are kept.
func TestTooMany(t *testing.T) {
	x := transfers(t, file(t, small()))[0]
	x.large = true
	for _, draw := range []func(*transfer) (*picture, error){sequence, delay} {
		if _, err := draw(x); err == nil || !strings.Contains(err.Error(), "more than 1,048,576 datagrams") {
			t.Error(err)
		}
	}
	if _, err := share(x); err != nil {
		t.Error(err)
	}
}

// TestUntimed refuses a capture without times, and draws acks that come before their
// segments.
func TestUntimed(t *testing.T) {
	s := small()
	for i := range s.datagrams {
		s.datagrams[i].At = time.Time{}
	}
	var b bytes.Buffer
	w := pcapng.NewWriter(&b, "test")
	for i := range s.datagrams {
		w.Write(&s.datagrams[i])
	}
	w.Flush()
	// The writer writes no instants before 1970: make simple packets of the blocks.
	if _, err := readCapture(bytes.NewReader(simple(b.Bytes()))); err == nil || err.Error() != "its packets have no times: nothing can be drawn of it" {
		t.Error(err)
	}
	early := newScene(1, "192.0.2.11", 1)
	early.send(0, 0, 10*time.Millisecond, -time.Millisecond).send(0, 1, 20*time.Millisecond, time.Millisecond)
	early.put(9*time.Millisecond, early.addrs[0], early.client(), wire.AppendAck(nil, 1, 0))
	if x := transfers(t, file(t, early))[0]; x.lost() != 0 {
		t.Errorf("%d are unanswered", x.lost())
	}
}

// simple makes simple packet blocks of the enhanced ones in a capture of ours.
func simple(b []byte) (out []byte) {
	u32 := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 | int(b[3])<<24 }
	put := func(b []byte, n int) []byte { return append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24)) }
	for len(b) > 0 {
		n := u32(b[4:])
		if u32(b) != 6 {
			out = append(out, b[:n]...)
		} else {
			size := u32(b[20:])
			frame := b[28 : 28+(size+3)&^3]
			out = put(put(out, 3), 16+len(frame))
			out = put(append(put(out, size), frame...), 16+len(frame))
		}
		b = b[n:]
	}
	return out
}
