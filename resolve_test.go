package mdalp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// Of a name's addresses IPv4 wins, unless this host has a way to IPv6 alone.
func TestChoose(t *testing.T) {
	for _, c := range []struct{ all, ways, want string }{
		{"192.0.2.1", "", "192.0.2.1"},
		{"2001:db8::1", "", "2001:db8::1"},
		{"2001:db8::1 192.0.2.1", "192.0.2.1 2001:db8::1", "192.0.2.1"},
		{"2001:db8::1 192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"192.0.2.1 2001:db8::1", "2001:db8::1", "2001:db8::1"},
		{"192.0.2.1 2001:db8::1", "", "192.0.2.1"},
		{"::ffff:192.0.2.1 192.0.2.2", "192.0.2.2", "192.0.2.1 192.0.2.2"},
		{"2001:db8::1 192.0.2.1 2001:db8::2", "2001:db8::1", "2001:db8::1 2001:db8::2"},
	} {
		var all []netip.Addr
		for _, a := range strings.Fields(c.all) {
			all = append(all, netip.MustParseAddr(a))
		}
		way := func(a netip.Addr) bool { return strings.Contains(" "+c.ways+" ", " "+a.String()+" ") }
		if got := fmt.Sprint(choose(all, way)); got != "["+c.want+"]" {
			t.Errorf("%s, with ways to %q: %v", c.all, c.ways, got)
		}
	}
}
