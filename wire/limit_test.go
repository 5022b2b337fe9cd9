package wire

import (
	"strings"
	"testing"
)

// As many receivers as MaxReceivers do not fit into a datagram today, so their
// limit is tried below the check of the length.
func TestMaxReceivers(t *testing.T) {
	const one = "{'ip_address':'h'},"
	rs, err := parseReceivers([]byte("[" + strings.Repeat(one, MaxReceivers) + "]"))
	if err != nil || len(rs) != MaxReceivers {
		t.Errorf("%d receivers: got %d, %v", MaxReceivers, len(rs), err)
	}
	_, err = parseReceivers([]byte("[" + strings.Repeat(one, MaxReceivers+1) + "]"))
	if want := `offer: byte 77825: want at most 4096 items, got "{"`; err == nil || err.Error() != want {
		t.Errorf("%d receivers: got %v, want %s", MaxReceivers+1, err, want)
	}
}
