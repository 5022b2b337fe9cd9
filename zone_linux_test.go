package mdalp

import (
	"net/netip"
	"testing"
)

// TestOnLink: zones are numbers, and only where they have a meaning.
func TestOnLink(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1", "::1%lo": "::1",
		"fe80::1%lo": "fe80::1%1", "fe80::1%1": "fe80::1%1", "fe80::1": "", "fe80::1%no-such-if": "", "169.254.1.1": "169.254.1.1",
	} {
		got, err := onLink("host", netip.MustParseAddr(a))
		if want == "" && err == nil || want != "" && (err != nil || got.String() != want) {
			t.Errorf("%s is %v, %v; want %q", a, got, err, want)
		}
	}
}

// TestOurs knows the addresses of this host.
func TestOurs(t *testing.T) {
	c := run{Config: Config{Orchestrator: orchestrator}}
	if err := c.atHome(); err != nil {
		t.Fatal(err)
	}
	if !c.ours(netip.MustParseAddr("127.0.0.1")) || c.ours(netip.MustParseAddr("192.0.2.1")) {
		t.Error("127.0.0.1 is this host's, and 192.0.2.1 is not")
	}
}
