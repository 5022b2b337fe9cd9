package main

import (
	"strings"
	"testing"

	"mdalp"
)

// What this host lost is told, and only then.
func TestHostLosses(t *testing.T) {
	const said = "this host lost datagrams: "
	for _, c := range []struct {
		host mdalp.Host
		want string
	}{
		{mdalp.Host{}, ""},
		{mdalp.Host{Blocked: 3}, ""},
		{mdalp.Host{Overflow: 2}, "2 came to a full receive buffer, 0 were too long, 0 could not be sent for want of memory\n"},
		{mdalp.Host{TooLong: 1, Unsent: 4}, "0 came to a full receive buffer, 1 were too long, 4 could not be sent for want of memory\n"},
	} {
		var b strings.Builder
		figures(&b, &mdalp.Report{Host: c.host}, 200, "complete")
		if _, got, _ := strings.Cut(b.String(), said); got != c.want {
			t.Errorf("%+v: %q", c.host, b.String())
		}
	}
}
