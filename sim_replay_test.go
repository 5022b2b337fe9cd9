package mdalp

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"os"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/server"
)

// A capture is what testdata/capture.json knows of one transfer of the original
// client: times in milliseconds, acks of each receiver in the order of SEQ.
type capture struct {
	Size      int
	Data      float64 `json:"data_s"`
	Datagrams int64
	Timeouts  int64
	Receivers []struct {
		Addr   netip.Addr
		Bytes  int64
		First  int64        `json:"first_seq"`
		Lost   []int64      // SEQs whose first transmission was lost
		Echoes []sim.Millis `json:"echoes_ms"`
		Acks   []sim.Millis `json:"acks_ms"`
	}
}

// replay runs a client against the capture's receivers: every segment is
// acknowledged as late as it was then, and lost when it was lost then.
func (c *capture) replay(t *testing.T, cfg Config) (*Report, server.Result) {
	t.Helper()
	w := sim.New(sim.Config{})
	client := netip.MustParseAddrPort("172.31.43.71:49710")
	sock := sim.Socket{PacketInfo: true, Addrs: []netip.AddrPort{orchestrator}}
	var res server.Result
	sc := server.Config{Base: true, Idle: 30 * time.Second, Settled: func(r server.Result) { res = r }}
	for _, r := range c.Receivers {
		a := netip.AddrPortFrom(r.Addr, Port)
		sock.Addrs = append(sock.Addrs, a)
		sc.Receivers = append(sc.Receivers, server.Receiver{Addr: a})
		// A dot for a datagram that arrives, an x for one that is lost.
		var loss []byte
		for k := range r.Acks {
			if len(r.Lost) > 0 && r.Lost[0] == r.First+int64(k) {
				loss = append(loss, 'x')
				r.Lost = r.Lost[1:]
			}
			loss = append(loss, '.')
		}
		w.Path(client.Addr(), r.Addr, sim.LinkConfig{Delay: sim.Delay{Kind: sim.Trace, Trace: r.Acks}, Loss: sim.Loss{Trace: string(loss)}})
		w.PingPath(client.Addr(), r.Addr, sim.LinkConfig{Delay: sim.Delay{Kind: sim.Trace, Trace: r.Echoes}})
		w.Host(r.Addr).Echo = sim.EchoReply
	}
	srv, err := server.New(sc)
	if err != nil {
		t.Fatal(err)
	}
	w.Add("server", srv, sock)
	cfg.Orchestrator = orchestrator
	conf, err := (&run{Config: cfg, key: [32]byte{1}}).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(sim.Epoch, bytes.NewReader(payload(c.Size)), int64(c.Size), conf, icmp.Raw, icmp.Off, 0)
	node := w.Add("client", s, sim.Socket{Addrs: []netip.AddrPort{client}}, sim.Socket{Addrs: []netip.AddrPort{netip.AddrPortFrom(client.Addr(), 0)}, ICMP: true})
	if err := w.Run(node); err != nil {
		t.Fatal(err)
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	srv.Close(w.Now().Add(sc.Idle)) // nobody is left to say more
	return &s.report, res
}

// TestReplayCapture: the original took 23.9 s for the data, four timeouts of more
// than 3 s among it, and 2.35 s for the pings. The figures for this client are
// exact, for time is virtual.
func TestReplayCapture(t *testing.T) {
	b, err := os.ReadFile("testdata/capture.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		cfg      Config
		probe    float64 // seconds
		transfer float64
	}{
		{"adaptive timeouts", Config{}, 0.337, 21.816},
		{"fixed timeouts", Config{RTO: RTOFixed}, 0.337, 23.123},
		{"adaptive balance", Config{Balance: BalanceAdaptive}, 0.337, 20.112},
	} {
		t.Run(c.name, func(t *testing.T) {
			var facts capture
			if err := json.Unmarshal(b, &facts); err != nil {
				t.Fatal(err)
			}
			r, res := facts.replay(t, c.cfg)
			t.Logf("pings %.3f s, data %.3f s (the original: %.3f s), %d datagrams, %d timeouts", r.Probe.Seconds(), r.Transfer.Seconds(), facts.Data, r.Sent(), r.Timeouts())
			if math.Abs(r.Probe.Seconds()-c.probe) > 0.001 || math.Abs(r.Transfer.Seconds()-c.transfer) > 0.005 {
				t.Errorf("want %.3f s and %.3f s", c.probe, c.transfer)
			}
			if r.Timeouts() != facts.Timeouts || r.Sent() != facts.Datagrams {
				t.Errorf("want %d datagrams and %d timeouts", facts.Datagrams, facts.Timeouts)
			}
			if !res.Complete {
				t.Errorf("verdict %+v", res)
			}
			if c.cfg.Balance != BalanceLatency {
				return
			}
			if res.Comment != server.Completed {
				t.Errorf("verdict %q", res.Comment)
			}
			for i, x := range r.Receivers {
				if x.Share != facts.Receivers[i].Bytes || x.Assigned != int64(len(facts.Receivers[i].Acks)) {
					t.Errorf("receiver %d: %d bytes in %d segments, the original gave it %d in %d", i, x.Share, x.Assigned, facts.Receivers[i].Bytes, len(facts.Receivers[i].Acks))
				}
			}
		})
	}
}
