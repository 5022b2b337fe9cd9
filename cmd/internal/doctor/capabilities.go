package doctor

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// unknown is what can be said without /proc.
const unknown = "unknown: /proc/self/status cannot be read"

// judgeCapabilities looks at what may stand between a capability and this process. It
// explains what judgePings found, so it warns only where something is not as whoever
// set it up must have meant it.
func (f *Facts) judgeCapabilities() []Check {
	const raw = uint64(1) << unix.CAP_NET_RAW
	s := &f.status
	process := Check{Name: "capabilities", State: fine}
	switch {
	case !s.known:
		process.Text = unknown
	case s.effective&raw != 0:
		process.Text = "of the process: " + capNames(s.effective)
	case s.permitted&raw != 0:
		process.Text = "of the process: cap_net_raw is permitted, but not effective"
	case s.bounding&raw == 0:
		process.Text = "of the process: " + capNames(s.effective) + "; cap_net_raw is out of bounds"
	default:
		process.Text = "of the process: " + capNames(s.effective)
	}
	c := &f.fileCaps
	file := Check{Name: "file capabilities", State: fine}
	switch {
	case errors.Is(c.err, unix.ENOTSUP), errors.Is(c.err, unix.EOPNOTSUPP):
		file.Text = "the filesystem of " + f.path + " cannot have them"
	case c.err != nil:
		file.Text = f.path + ": " + c.err.Error()
	// Root needs none of the file, but others who run the program do.
	case c.permitted == 0 && f.uid == 0:
		file.Text = "none; root needs none, for other users: setcap cap_net_raw+ep " + f.path
	case c.permitted == 0:
		file.Text = "none"
	default:
		flags := "+p"
		if c.effective {
			flags = "+ep"
		}
		file.Text = capNames(c.permitted) + flags
		switch {
		// The process has what it needs, or the file was never meant to give it.
		case s.effective&raw != 0 || c.permitted&raw == 0:
		case !c.effective:
			file.State, file.Fix = warning, f.sudo("setcap cap_net_raw+ep "+f.path)
		case f.nosuid:
			file.State, file.Text = warning, file.Text+", in vain: its filesystem is mounted nosuid"
		case s.noNewPrivs:
			file.State, file.Text = warning, file.Text+", in vain: no_new_privs is set"
		}
	}
	nnp := Check{"no_new_privs", fine, "not set", ""}
	seccomp := Check{"seccomp", fine, "off", ""}
	if !s.known {
		nnp.Text, seccomp.Text = unknown, unknown
	}
	if s.noNewPrivs {
		nnp.Text = "set: file capabilities do not count here"
		if f.raw[0] != nil && f.dgram[0] != nil {
			nnp.State = warning
		}
	}
	if s.seccomp != 0 {
		seccomp.Text = map[int]string{1: "strict", 2: "a filter is in force"}[s.seccomp]
		// The capability is there, and the call is refused all the same.
		if s.effective&raw != 0 && f.raw[0] != nil {
			seccomp.State, seccomp.Text = warning, seccomp.Text+", and may be what refuses raw sockets"
		}
	}
	return []Check{process, file, nnp, seccomp}
}

// capNames writes a set of capabilities: those that matter here by name.
func capNames(set uint64) string {
	var names []string
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_NET_RAW, "cap_net_raw"}, {unix.CAP_NET_ADMIN, "cap_net_admin"}} {
		if set&(1<<c.bit) != 0 {
			names = append(names, c.name)
			set &^= 1 << c.bit
		}
	}
	others := 0
	// Each step clears the lowest bit that is set.
	for ; set != 0; set &= set - 1 {
		others++
	}
	if others > 0 {
		names = append(names, fmt.Sprintf("%d others", others))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// judgeGroups tells who may open ICMP datagram sockets. Whether that matters, the
// sockets have shown.
func (f *Facts) judgeGroups() Check {
	return Check{"ping_group_range", fine, f.groups.String(), ""}
}
