package icmp

import (
	"fmt"
	"io"
	"strconv"
	"syscall"
)

// A Conn is an open socket. It is what loop.New of this module takes.
type Conn interface {
	syscall.Conn
	io.Closer
}

// A Mode is a way to send echoes. The zero value is [Auto].
type Mode uint8

const (
	// Auto is Raw where the process may, else Datagram.
	Auto Mode = iota
	// Raw is a raw socket (raw(7)). It needs CAP_NET_RAW. The kernel filters the
	// replies, so that those of other pings cost nothing.
	Raw
	// Datagram is an ICMP datagram socket (icmp(7)). It needs a group of the
	// process to be within net.ipv4.ping_group_range, which rules IPv6 as well.
	// The kernel chooses the identifier and delivers its replies alone.
	Datagram
	// Off is no socket at all.
	Off
)

// modeNames are the spellings of String and ParseMode, by value.
var modeNames = [...]string{Auto: "auto", Raw: "raw", Datagram: "dgram", Off: "off"}

// String gives the name that [ParseMode] takes: auto, raw, dgram or off.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "mode(" + strconv.Itoa(int(m)) + ")"
}

// ParseMode gives the mode that s names: auto, raw, dgram or off.
func ParseMode(s string) (Mode, error) {
	for m, name := range modeNames {
		if s == name {
			return Mode(m), nil
		}
	}
	return Auto, fmt.Errorf("icmp: mode %q is none of auto, raw, dgram, off", s)
}

// MarshalText implements [encoding.TextMarshaler]. It fails for a value without a name.
func (m Mode) MarshalText() ([]byte, error) {
	if int(m) >= len(modeNames) {
		return nil, fmt.Errorf("icmp: %v has no name", m)
	}
	return []byte(modeNames[m]), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler], as [ParseMode] does.
func (m *Mode) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMode(string(text))
	return err
}
