package doctor

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var (
	denied  = os.NewSyscallError("socket", unix.EACCES)
	noPerm  = os.NewSyscallError("socket", unix.EPERM)
	netRaw  = uint64(1) << unix.CAP_NET_RAW
	allCaps = uint64(1)<<41 - 1
)

// healthy is a host on which everything works, for an ordinary user whose command has
// the capability.
func healthy() *Facts {
	return &Facts{
		uid: 1000, path: "/usr/bin/mdalp", dgram: [2]error{denied, denied}, rtt: 20 * time.Microsecond,
		status:   status{known: true, effective: netRaw, permitted: netRaw, bounding: allCaps},
		fileCaps: fileCaps{permitted: netRaw, effective: true},
		groups:   groupRange{1, 0, true}, buffer: 425984, trains: true, rmemMax: 212992,
		ways:        []way{{name: "out, IPv4", to: anywhere4, local: anywhere4, device: "eth0", mtu: 1500, pathMTU: 1500}},
		clockSource: "tsc", clockSources: "tsc hpet", clockCost: 50, clockOver: 20 * time.Millisecond,
	}
}

func TestDoctorJudges(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Facts)
		check  string // the line that the change shows in
		state  state
		text   string // is part of it
		fix    string
		sick   bool
	}{
		{"healthy", func(f *Facts) {}, "raw ICMP", fine, "IPv4 and IPv6", "", false},
		{"no capability", func(f *Facts) { f.raw = [2]error{noPerm, noPerm}; f.fileCaps = fileCaps{}; f.status.effective = 0 },
			"raw ICMP", fix, "socket: operation not permitted", "sudo setcap cap_net_raw+ep /usr/bin/mdalp", true},
		{"datagram", func(f *Facts) { f.raw = [2]error{noPerm, noPerm}; f.dgram = [2]error{} },
			"raw ICMP", fine, "the other kind will do", "", false},
		{"no_new_privs", func(f *Facts) { f.raw = [2]error{noPerm, noPerm}; f.status.noNewPrivs = true; f.status.effective = 0 },
			"raw ICMP", fix, "", `sudo sysctl -w net.ipv4.ping_group_range="0 2147483647"`, true},
		{"the line of no_new_privs", func(f *Facts) { f.raw = [2]error{noPerm, noPerm}; f.status.noNewPrivs = true },
			"no_new_privs", warning, "file capabilities do not count", "", true},
		{"container without the capability", func(f *Facts) { f.raw = [2]error{noPerm, noPerm}; f.container = "Podman"; f.status.bounding = 0 },
			"raw ICMP", fix, "", `start the container with --cap-add NET_RAW as root, or with --sysctl net.ipv4.ping_group_range="0 2147483647"`, true},
		{"container's line", func(f *Facts) { f.container = "Podman" }, "process", fine, "user 1000, in a container (Podman)", "", false},
		{"nosuid", func(f *Facts) { f.raw = [2]error{noPerm, noPerm}; f.status.effective = 0; f.nosuid = true },
			"raw ICMP", fix, "", "sudo install /usr/bin/mdalp /usr/local/bin/mdalp && sudo setcap cap_net_raw+ep /usr/local/bin/mdalp", true},
		{"nosuid, the line of the file", func(f *Facts) { f.status.effective = 0; f.nosuid = true }, "file capabilities", warning, "mounted nosuid", "", false},
		{"not effective", func(f *Facts) { f.status.effective = 0; f.fileCaps.effective = false },
			"file capabilities", warning, "cap_net_raw+p", "sudo setcap cap_net_raw+ep /usr/bin/mdalp", false},
		{"out of bounds", func(f *Facts) { f.status = status{known: true} }, "capabilities", fine, "none; cap_net_raw is out of bounds", "", false},
		{"no /proc", func(f *Facts) { f.status = status{} }, "capabilities", fine, "unknown: /proc/self/status cannot be read", "", false},
		{"no /proc, the process", func(f *Facts) { f.status = status{} }, "process", fine, "whether in a container is unknown", "", false},
		{"no /proc, no_new_privs", func(f *Facts) { f.status = status{} }, "no_new_privs", fine, "unknown", "", false},
		{"no /proc, seccomp", func(f *Facts) { f.status = status{} }, "seccomp", fine, "unknown", "", false},
		{"no /proc, AppArmor", func(f *Facts) { f.status = status{} }, "AppArmor", fine, "unknown", "", false},
		{"no /proc, namespaces", func(f *Facts) { f.status, f.namespace = status{}, unix.ENOENT }, "user namespaces", warning, "unknown", "", false},
		{"no /proc, no pings", func(f *Facts) { f.status = status{}; f.raw = [2]error{noPerm, noPerm} }, "raw ICMP", fix, "", "sudo setcap cap_net_raw+ep /usr/bin/mdalp", true},
		{"seccomp", func(f *Facts) { f.raw[0] = noPerm; f.dgram[0] = nil; f.status.seccomp = 2 }, "seccomp", warning, "what refuses raw sockets", "", false},
		{"no IPv6", func(f *Facts) {
			f.raw[1] = os.NewSyscallError("socket", unix.EAFNOSUPPORT)
			f.udp6 = f.raw[1]
		}, "IPv6", warning, "address family not supported by protocol; receivers with IPv6 addresses are left out", "", false},
		{"no echo", func(f *Facts) { f.rtt = 0 }, "echo", warning, "does not answer", "sudo sysctl -w net.ipv4.icmp_echo_ignore_all=0", false},
		{"lo is down", func(f *Facts) { f.echo = unix.ENETUNREACH }, "echo", fix, "network is unreachable", "sudo ip link set lo up", true},
		{"no UDP", func(f *Facts) { f.udp = noPerm }, "UDP", fix, "operation not permitted", "", true},
		{"small buffer", func(f *Facts) { f.buffer = 2 * 65536; f.rmemMax = 65536 }, "receive buffer", warning,
			"131072 bytes, room for 100 acknowledgements at once, 101 wanted: the others wait", "sudo sysctl -w net.core.rmem_max=4194304", false},
		{"windows", func(f *Facts) {}, "windows", warning, "a server here takes 18 segments of 8192 bytes at once: 147.5 kB for each round trip", "sudo sysctl -w net.core.rmem_max=4194304", false},
		{"windows, wide", func(f *Facts) { f.buffer = 8 << 20 }, "windows", fine, "a server here takes 366 segments of 8192 bytes at once", "", false},
		{"windows, another limit", func(f *Facts) { f.rmemMax = 4 << 20 }, "windows", warning, " 18 segments", "", false},
		{"no windows", func(f *Facts) { f.udp = noPerm }, "windows", fine, "not tried", "", true},
		{"offload", func(f *Facts) {}, "offload", fine, "trains of segments (UDP_SEGMENT)", "", false},
		{"no offload", func(f *Facts) { f.trains = false }, "offload", warning, "takes no trains of segments", "", false},
		{"size", func(f *Facts) {}, "way out, IPv4", fine, "MTU 1500, extended segments of up to 1388 bytes", "", false},
		{"tunnel", func(f *Facts) { f.ways[0].pathMTU = 1280 }, "way out, IPv4", warning, "of the path 1280: extended segments of 1200 bytes may go in fragments", "sudo ip link set dev eth0 mtu 1500", false},
		{"as root", func(f *Facts) { f.buffer, f.uid = 1300, 0 }, "receive buffer", warning, "room for 1 ", "sysctl -w net.core.rmem_max=4194304", false},
		{"namespaces, by AppArmor", func(f *Facts) {
			f.namespace = errors.New("ioctl SIOCSIFFLAGS: operation not permitted")
			f.appArmor = "1"
		},
			"AppArmor", warning, "is 1", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0", false},
		{"namespaces, by Debian", func(f *Facts) { f.namespace = unix.EPERM; f.userClone = "0" },
			"user namespaces", warning, "refused: operation not permitted", "sudo sysctl -w kernel.unprivileged_userns_clone=1", false},
		{"namespaces, none", func(f *Facts) { f.namespace = unix.ENOSPC; f.userMax = "0" }, "user namespaces", warning, "", "sudo sysctl -w user.max_user_namespaces=10000", false},
		{"no way", func(f *Facts) { f.ways[0].err = unix.ENETUNREACH }, "way out, IPv4", warning, "network is unreachable", "", false},
		{"no way that is wanted", func(f *Facts) { f.ways[0].err = unix.ENETUNREACH; f.ways[0].wanted = true }, "way out, IPv4", fix, "", "", true},
		{"MTU", func(f *Facts) { f.ways[0].pathMTU = 128 }, "way out, IPv4", warning, "of the path 128: segments of up to 208 bytes go in fragments", "sudo ip link set dev eth0 mtu 1500", false},
		{"clock steps", func(f *Facts) { f.clockStep = -2 * time.Millisecond }, "clock", warning, "moved by -2.000 ms within 20.000 ms", "", false},
		{"slow clock", func(f *Facts) { f.clockSource, f.clockCost = "hpet", 1500 }, "clock", warning, "hpet, 1500 ns a reading: slow",
			"echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := healthy()
			tt.change(f)
			checks := f.Judge(101)
			found := 0
			for _, c := range checks {
				if c.Name != tt.check {
					continue
				}
				found++
				if c.State != tt.state || !strings.Contains(c.Text, tt.text) || c.Fix != tt.fix {
					t.Errorf("%+v, want %s, %q, %q", c, tt.state, tt.text, tt.fix)
				}
			}
			if found != 1 || Sick(checks) != tt.sick {
				t.Errorf("%d lines %q, to be fixed: %v", found, tt.check, Sick(checks))
			}
		})
	}
}

// The last line tells what is to be expected of a send.
func TestDoctorConcludes(t *testing.T) {
	unreachable := []way{{name: "to 192.0.2.1", wanted: true, to: anywhere4, err: unix.ENETUNREACH}}
	for _, tt := range []struct {
		name   string
		change func(*Facts)
		want   string
	}{
		{"healthy", func(*Facts) {}, "a send works here, with pings by raw sockets\n"},
		{"no pings", func(f *Facts) { f.raw = [2]error{noPerm, noPerm} }, "a send works here, but without pings: all receivers get the same share\n"},
		{"no way", func(f *Facts) { f.ways = unreachable }, "a send does not work here as it should\n"},
		{"no way out", func(f *Facts) { f.ways[0].err = unix.ENETUNREACH }, "no way leads out of this host: a send works to its own addresses alone, with pings by raw sockets\n"},
		{"neither", func(f *Facts) { f.raw, f.ways = [2]error{noPerm, noPerm}, unreachable }, "a send does not work here as it should\n"},
	} {
		f := healthy()
		tt.change(f)
		var b strings.Builder
		Show(&b, f, f.Judge(3))
		if !strings.HasSuffix(b.String(), "\n"+tt.want) {
			t.Errorf("%s:\n%s", tt.name, &b)
		}
	}
}

func TestDoctorParses(t *testing.T) {
	got := parseStatus([]byte("Name:\tmdalp\nCapInh:\t0000000000000000\nCapPrm:\t0000000000002000\nCapEff:\t0000000000002000\n" +
		"CapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"))
	want := status{effective: netRaw, permitted: netRaw, bounding: allCaps, noNewPrivs: true, seccomp: 2, known: true}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(status{})); diff != "" {
		t.Error(diff)
	}
	// As `setcap cap_net_raw+ep` and `cap_net_raw,cap_bpf+p` write them, and one of a
	// user namespace (revision 3).
	for _, tt := range []struct {
		b    string
		want string
	}{
		{"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "cap_net_raw true"},
		{"\x00\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00", "cap_net_raw, 1 others false"},
		{"\x01\x00\x00\x03\x00\x30\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xe8\x03\x00\x00", "cap_net_raw, cap_net_admin true"},
		{"\x01\x00\x00\x01\x00\x20\x00\x00\x00\x00\x00\x00", "cap_net_raw true"},
		{"\x01\x00", "error"},
	} {
		c := parseFileCaps([]byte(tt.b))
		text := "error"
		if c.err == nil {
			text = capNames(c.permitted) + " " + map[bool]string{true: "true", false: "false"}[c.effective]
		}
		if text != tt.want {
			t.Errorf("%q: %s, want %s", tt.b, text, tt.want)
		}
	}
	for s, want := range map[string]string{
		"1\t0\n": "1 0: nobody", "0\t2147483647\n": "groups 0 to 2147483647", "": "unknown: it cannot be read", "x 1": "unknown: it cannot be read",
	} { // order does not show
		if got := parseGroups(s).String(); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}
