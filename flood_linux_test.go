package mdalp

import (
	"bytes"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/icmp"
	"mdalp/internal/need"
)

// TestEchoFlood: echo replies with our identifier but without our cookies, as fast
// as another thread can send them, neither answer a ping nor hold one up.
func TestEchoFlood(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		if os.IsPermission(err) {
			need.Skip(t, "no raw socket: ", err)
		}
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cfg, err := newRun(&Config{Orchestrator: orchestrator})
	if err != nil {
		t.Fatal(err)
	}
	orch, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 9, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer orch.Close()
	cfg.Orchestrator = orch.LocalAddr().(*net.UDPAddr).AddrPort()
	cfg.key = [32]byte{0x12, 0x34}
	cfg.EchoTimeout, cfg.Deadline = 10*time.Second, 30*time.Second

	stop, ended := make(chan struct{}), make(chan int)
	go func() {
		sent := 0
		reply := make([]byte, 64)
		reply[4], reply[5] = 0x12, 0x34
		reply[2], reply[3] = 0xed, 0xcb // the checksum of that
		for {
			select {
			case <-stop:
				ended <- sent
				return
			default:
				if unix.Sendto(fd, reply, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) == nil {
					sent++
				}
			}
		}
	}()
	go func() { // an orchestrator that offers hosts of which one answers pings
		b := make([]byte, 64)
		if _, from, err := orch.ReadFromUDPAddrPort(b); err == nil {
			orch.WriteToUDPAddrPort([]byte("Type:1;TID:1;DATA:[{'ip_address': '127.0.9.2', 'port': 9}, {'ip_address': '127.0.9.3', 'port': 9}]"), from)
		}
	}()
	r, err := send(t.Context(), bytes.NewReader(payload(1000)), 1000, cfg)
	close(stop)
	if sent := <-ended; sent == 0 {
		t.Fatal("the flood sent nothing")
	} else {
		t.Logf("%d forged replies, %v: %v", sent, r.Elapsed, err)
	}
	if r.Ping != icmp.Raw || len(r.Receivers) != 2 {
		t.Fatalf("pings %v, receivers %v", r.Ping, r.Receivers)
	}
	for _, x := range r.Receivers {
		if x.Echoes.Received != 3 || x.Guessed {
			t.Errorf("%v: %+v", x.Addr, x.Echoes)
		}
	}
	if r.Probe >= cfg.EchoTimeout {
		t.Errorf("pinging waited its whole timeout, %v", r.Probe)
	}
}
