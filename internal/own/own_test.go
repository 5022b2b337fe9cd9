package own

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What one process has, no other gets, even if it begins at the same place.
func TestOwn(t *testing.T) {
	const from = "MDALP_TEST_OWN"
	if at := os.Getenv(from); at != "" {
		var port, net uint32
		fmt.Sscan(at, &port, &net)
		nextPort.Store(port)
		nextNet.Store(net)
	}
	port, net0 := nextPort.Load(), nextNet.Load()
	seen := make(map[string]bool)
	for range 20 {
		p, err := Port()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: p}); err != nil {
			t.Error(err)
		} else if err := c.Close(); err != nil {
			t.Error(err)
		}
		n, err := Net()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := net.ListenPacket("udp4", n+"200:0"); err != nil {
			t.Error(err)
		} else if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, s := range []string{fmt.Sprint(p), n} {
			if seen[s] {
				t.Errorf("%s came twice", s)
			}
			seen[s] = true
			fmt.Println("has", s)
		}
	}
	if os.Getenv(from) != "" {
		return
	}
	c := exec.Command("/proc/self/exe", "-test.run=^TestOwn$")
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", from, port, net0))
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "has "); ok {
			if n++; seen[s] {
				t.Errorf("another process has %s too", s)
			}
		}
	}
	if n != 40 {
		t.Errorf("the other has %d:\n%s", n, out)
	}
}
