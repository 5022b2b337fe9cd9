// Package own gives tests what no other test program of this machine has at the same time: ports,
// and addresses of the loopback network. Several run at once, of one suite and of several.
package own

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// The range lies below the ports that the kernel gives to clients (ip_local_port_range, ip(7)).
const (
	firstPort = 10000
	ports     = 20000
)

// Networks are 127.x.y., x from here on.
const (
	firstNet = 128
	nets     = 96 * 256
)

var (
	nextPort, nextNet atomic.Uint32
	// held is what others see that something is taken by. It is never closed.
	held sync.Map
)

func init() {
	// Others begin elsewhere, so that what was another's a moment ago is seldom given again.
	nextPort.Store(uint32(os.Getpid() * 97))
	nextNet.Store(uint32(os.Getpid() * 7))
}

// hold takes a name for as long as this process runs, and reports whether it could: an abstract
// socket, which the kernel takes back from whoever ends (unix(7)).
func hold(name string) bool {
	l, err := net.Listen("unix", "@mdalp-test-"+name)
	if err == nil {
		held.Store(name, l)
	}
	return err == nil
}

// Port gives a UDP port that no program has.
func Port() (int, error) {
	for range ports {
		port := firstPort + int(nextPort.Add(1)%ports)
		if !hold(fmt.Sprint("port-", port)) {
			continue
		}
		if c, err := net.ListenUDP("udp", &net.UDPAddr{Port: port}); err == nil {
			return port, c.Close()
		}
	}
	return 0, errors.New("no port is free")
}

// Net gives a network of the loopback interface as the beginning of its addresses, 127.130.7. as an
// example.
func Net() (string, error) {
	for range nets {
		n := nextNet.Add(1) % nets
		if addr := fmt.Sprintf("127.%d.%d.", firstNet+n/256, n%256); hold("net-" + addr) {
			return addr, nil
		}
	}
	return "", errors.New("no network is free")
}
