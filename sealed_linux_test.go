package mdalp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"testing"
	"time"

	"mdalp"
	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/seal"
	"mdalp/server"
)

// TestSendSealed sends sealed over real sockets: in trains, in segments as large as the
// host's own path takes, and with a key that the server does not have.
func TestSendSealed(t *testing.T) {
	key, other := seal.Key{1, 2, 3}, seal.Key{4, 5, 6}
	var ring seal.Keyring
	if err := ring.Add("office", key); err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{Store: new(server.Memory), IntentRate: -1}
	result := make(chan server.Result, 8)
	cfg.Settled = func(r server.Result) { result <- r }
	var socks []*loop.Socket
	for i := range 3 {
		s, err := loop.Listen(netip.MustParseAddrPort("127.0.0.1:0"), loop.Options{PacketInfo: true, Trains: true})
		if err != nil {
			t.Fatal(err)
		}
		if socks = append(socks, s); i > 0 {
			cfg.Receivers = append(cfg.Receivers, server.Receiver{Addr: s.LocalAddr(), Sock: i})
		}
	}
	srv, err := server.NewSealed(cfg, &ring, true, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		loop.Run(ctx, srv, socks...)
		for _, s := range socks {
			s.Close()
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	send := func(size int, c mdalp.Config) (*mdalp.Report, []byte, error) {
		c.Orchestrator, c.Ping, c.Deadline = socks[0].LocalAddr(), icmp.Off, time.Minute
		want := payloadOf(size)
		r, err := mdalp.Send(context.Background(), bytes.NewReader(want), int64(size), &c)
		return r, want, err
	}
	for _, size := range []int{1, 150, 3_000_000} {
		for _, segment := range []int{0, 1200} {
			r, want, err := send(size, mdalp.Config{Key: &key, Segment: segment})
			if err != nil || !r.Sealed || !r.Verified || r.Dropped.Unopened+r.Dropped.Replayed > 0 {
				t.Fatalf("%d bytes: %v\n%+v", size, err, r)
			}
			if segment > 0 && size > 1<<20 && r.Socket.Trains == 0 {
				t.Error("nothing left in a train")
			}
			if got, ok := cfg.Store.(*server.Memory).Payload(r.TID); !ok || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: the payload is not what was sent", size)
			}
		}
	}
	_, _, err = send(100, mdalp.Config{Key: &other, IntentTimeout: 200 * time.Millisecond})
	if !errors.Is(err, mdalp.ErrNoOffer) || !errors.Is(err, mdalp.ErrNotSealed) {
		t.Errorf("with another key: %v", err)
	}
	_, _, err = send(100, mdalp.Config{IntentTimeout: 200 * time.Millisecond})
	if !errors.Is(err, mdalp.ErrIntentTimeout) {
		t.Errorf("without a key: %v", err)
	}
}
