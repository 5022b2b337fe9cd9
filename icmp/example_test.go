package icmp_test

import (
	"fmt"
	"net/netip"
	"time"

	"mdalp/icmp"
)

// A driver without a network: one host answers with what was never asked, the
// other cannot be reached.
func ExampleProber() {
	now := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	hosts := []netip.Addr{
		netip.MustParseAddr("192.0.2.1"),
		netip.MustParseAddr("2001:db8::2"),
	}
	p := icmp.NewProber(now, icmp.Config{Timeout: time.Second}, hosts)
	for !p.Done() {
		for {
			msg, to, ok := p.Transmit(now, nil)
			if !ok {
				break
			}
			fmt.Printf("%4v: %d bytes to %v\n", now.Sub(now.Truncate(time.Minute)), len(msg), to)
			if to == hosts[1] {
				p.Fail(to) // EHOSTUNREACH, say
			} else {
				fmt.Println("      its own request back is", p.Receive(now, to, msg))
			}
		}
		now, _ = p.Next()
		p.Expire(now)
	}
	fmt.Printf("%+v\n", p.Stats(0))
	// Output:
	//   0s: 24 bytes to 192.0.2.1
	//       its own request back is foreign
	//   0s: 24 bytes to 2001:db8::2
	//  1ms: 24 bytes to 192.0.2.1
	//       its own request back is foreign
	//  2ms: 24 bytes to 192.0.2.1
	//       its own request back is foreign
	// {Sent:3 Received:0 Min:0s Median:0s Mean:0s Max:0s}
}
