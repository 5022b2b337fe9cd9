package icmp

import (
	"testing"

	"golang.org/x/net/bpf"
)

// The same programs run in the kernel in TestFilter of open_linux_test.go.
func TestReplyFilter(t *testing.T) {
	tests := []struct {
		name   string
		family int
		b      []byte
		pass   bool
	}{
		{"v4 ours", 4, join(header4, reply4), true},
		{"v4 ours behind IP options", 4, join([]byte{0x47}, header4[1:], make([]byte, 8), reply4), true},
		{"v4 other id", 4, join(header4, with(reply4, 5, 0x35)), false},
		{"v4 id swapped", 4, join(header4, with(with(reply4, 4, 0x34), 5, 0x12)), false},
		{"v4 request", 4, join(header4, request4), false},
		{"v4 extended echo reply", 4, join(header4, with(reply4, 0, 43)), false},
		{"v4 cut before the id", 4, join(header4, reply4[:5]), false},
		{"v4 empty", 4, header4, false},
		{"v6 ours", 6, reply6, true},
		{"v6 other id", 6, with(reply6, 4, 0x13), false},
		{"v6 request", 6, request6, false},
		{"v6 extended echo reply", 6, with(reply6, 0, 161), false},
		{"v6 cut before the id", 6, reply6[:4], false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vm, err := bpf.NewVM(replyFilter(tt.family, 0x1234))
			if err != nil {
				t.Fatal(err)
			}
			n, err := vm.Run(tt.b)
			if err != nil {
				t.Fatal(err)
			}
			if tt.pass != (n >= len(tt.b)) || !tt.pass && n != 0 {
				t.Errorf("%d of %d bytes pass, want pass %v", n, len(tt.b), tt.pass)
			}
		})
	}
}
