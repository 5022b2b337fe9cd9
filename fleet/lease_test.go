package fleet

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mdalp/fleet/engine/model"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

// A dripper is a client of the base protocol that sends a segment a second to the second of
// its receivers, and keeps what is acknowledged.
type dripper struct {
	orch  netip.AddrPort
	next  time.Time
	tid   int64
	to    netip.AddrPort
	seq   int64
	acked [][]byte
	last  time.Time // of an acknowledgement
	send  bool
}

func (d *dripper) text() []byte { return fmt.Appendf(nil, "segment %03d;", d.seq) }

func (d *dripper) Receive(now time.Time, e *loop.Envelope, b []byte) {
	m, err := wire.Parse(b)
	switch {
	case err != nil:
	case m.Type == wire.Offer && d.tid == 0:
		rs, _ := wire.ParseReceivers(m.Data)
		d.tid, d.to, d.next = m.TID, netip.AddrPortFrom(netip.MustParseAddr(rs[1].Host), 4650), now
	case m.Type == wire.Ack && m.Seq == d.seq:
		d.acked = append(d.acked, d.text())
		d.seq, d.last = d.seq+1, now
	}
}
func (d *dripper) Fail(time.Time, *loop.Envelope, error) {}
func (d *dripper) Expire(now time.Time) {
	if !now.Before(d.next) {
		d.send, d.next = true, now.Add(time.Second)
	}
}
func (d *dripper) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if !d.send {
		return b, false
	}
	d.send = false
	if e.Peer = d.orch; d.tid == 0 {
		return wire.AppendIntent(b), true
	}
	e.Peer = d.to
	return wire.AppendData(b, d.tid, d.seq, d.text()), true
}
func (d *dripper) Next() (time.Time, bool) { return d.next, true }

// leaseWorld is an orchestrator, two receivers by their address, and a dripper.
func leaseWorld(t *testing.T, seed uint64) (f *fleetWorld, d *dripper, rcvs map[netip.Addr]*proc) {
	f = &fleetWorld{t: t, seed: seed, procs: make(map[string]*proc)}
	f.world = sim.New(sim.Config{Seed: seed, Limit: time.Hour,
		Link: sim.LinkConfig{Delay: sim.Delay{Kind: sim.Uniform, Mean: sim.Millis(20 * time.Millisecond), Spread: sim.Millis(15 * time.Millisecond)}}})
	f.m = model.New(f.world, sim.Epoch, seed, model.Faults{Delay: 10 * time.Millisecond})
	t.Cleanup(f.m.Close)
	f.disk, f.named = sim.NewDisk(), make(map[string]int)
	at := func(net, n byte, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, net, n}), port)
	}
	f.add("o0", at(1, 0, 4649), true)
	rcvs = map[netip.Addr]*proc{}
	for i := range byte(2) {
		rcvs[at(2, i, 0).Addr()] = f.add(fmt.Sprint("r", i), at(2, i, 4650), false)
	}
	d = &dripper{orch: at(1, 0, 4649), next: sim.Epoch.Add(3 * time.Second)}
	f.world.Add("c", d, sim.Socket{Addrs: []netip.AddrPort{at(3, 0, 5000)}, PacketInfo: true})
	return f, d, rcvs
}

// A write that blocks the loop may outlast the lease: what it took is acknowledged when it comes
// again, and not before.
func TestLeaseOutlasted(t *testing.T) {
	f, d, rcvs := leaseWorld(t, 1)
	f.world.At(10*time.Second, func(time.Time) { rcvs[d.to.Addr()].late = leaseFor })
	f.world.At(15*time.Second, func(time.Time) {
		if since := d.last.Sub(sim.Epoch); since < 8*time.Second || since > 10*time.Second+100*time.Millisecond {
			t.Errorf("the last acknowledgement came after %v", since)
		}
		rcvs[d.to.Addr()].late = 0
	})
	if err := f.world.Advance(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if since := d.last.Sub(sim.Epoch); since < 18*time.Second {
		t.Errorf("the last acknowledgement came after %v", since)
	}
}

// A machine that was suspended has a clock that stood, while the others went on: its receiver acknowledges
// nothing before it has said anew that it is there.
func TestLeaseSlept(t *testing.T) {
	f, d, rcvs := leaseWorld(t, 1)
	at := 10 * time.Second
	f.world.At(at, func(time.Time) {
		p := rcvs[d.to.Addr()]
		p.slept, p.client.Cut = p.slept+leaseFor, true
	})
	f.world.At(at+5*time.Second, func(time.Time) {
		if since := d.last.Sub(sim.Epoch); since < 8*time.Second || since > at+100*time.Millisecond {
			t.Errorf("the last acknowledgement came after %v", since)
		}
		rcvs[d.to.Addr()].client.Cut = false
	})
	if err := f.world.Advance(at + 12*time.Second); err != nil {
		t.Fatal(err)
	}
	if since := d.last.Sub(sim.Epoch); since < at+9*time.Second {
		t.Errorf("the last acknowledgement came after %v", since)
	}
}

// TestLease cuts a receiver off from the engine that a client goes on sending base segments
// to: what it acknowledges until it is settled without it is in the payload.
func TestLease(t *testing.T) {
	for seed := range uint64(20) {
		f, d, rcvs := leaseWorld(t, seed)
		cut := 6*time.Second + time.Duration(seed)*400*time.Millisecond
		f.world.At(cut, func(time.Time) { rcvs[d.to.Addr()].client.Cut = true })
		if err := f.world.Advance(80 * time.Second); err != nil {
			t.Fatal(err)
		}
		whole := bytes.Join(d.acked, nil)
		got := f.disk.Files()[server.WholeName(d.tid)]
		if len(d.acked) == 0 || !bytes.Equal(got, whole) {
			t.Errorf("seed %d: %d segments were acknowledged, of %d bytes, and %d are there", seed, len(d.acked), len(whole), len(got))
		}
		// Who is cut off for good acknowledges for a while, and no longer.
		if since := d.last.Sub(sim.Epoch.Add(cut)); since > leaseFor+time.Second {
			t.Errorf("seed %d: it acknowledged for %v without the engine", seed, since)
		}
	}
}

// A receiver that drains ends soon after its transactions have: it asks whether they are over.
func TestDrainSoon(t *testing.T) {
	f, d, rcvs := leaseWorld(t, 1)
	var to *proc
	f.world.At(10*time.Second, func(now time.Time) {
		to = rcvs[d.to.Addr()]
		to.drain(now)
		d.next = now.Add(time.Hour) // it has sent all
	})
	over := time.Duration(0)
	for at := 11 * time.Second; at < 60*time.Second; at += time.Second {
		f.world.At(at, func(time.Time) {
			if f.disk.Files()[server.WholeName(d.tid)] == nil {
				over = at
			} else if to.prog.(*Receiver).Open() > 0 && at > over+5*time.Second {
				t.Errorf("it is over since %v, and open at %v", over, at)
			}
		})
	}
	if err := f.world.Advance(60 * time.Second); err != nil {
		t.Fatal(err)
	}
	if over == 0 || over > 50*time.Second || len(d.acked) == 0 {
		t.Errorf("it is over at %v, with %d segments", over, len(d.acked))
	}
}

// A receiver that drains, and has nothing open, stays until nobody can be offered it any more: who was
// just now may be about to begin.
func TestDrainStays(t *testing.T) {
	f, d, rcvs := leaseWorld(t, 1)
	f.world.At(10*time.Second, func(now time.Time) {
		for at, p := range rcvs {
			if at == d.to.Addr() {
				continue // that one has something open
			}
			p.drain(now)
			for after, want := range map[time.Duration]bool{time.Second: true, drainFor - time.Second: true,
				drainFor + 2*flushEvery: false} {
				f.world.At(10*time.Second+after, func(time.Time) {
					if _, stays := p.prog.Next(); stays != want || p.prog.(*Receiver).Open() > 0 {
						t.Errorf("after %v: stays %v, and not %v", after, stays, want)
					}
				})
			}
		}
	})
	if err := f.world.Advance(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	if len(d.acked) == 0 {
		t.Error("nothing was sent")
	}
}
