package table

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"mdalp"
	"mdalp/cmd/internal/usage"
)

// Pings writes a line for each host, and one for all if there are several.
// names are what whoever asked calls the hosts.
func Pings(out *bytes.Buffer, names []string, r *mdalp.PingReport) {
	// Wide enough for the longest, which is known by now: the table is written at the end.
	wide := len("host")
	for i := range names {
		wide = max(wide, Columns(Label(names[i], r.Hosts[i].Addr)))
	}
	out.Write(PingHead(nil, wide))
	var line []byte
	for i := range r.Hosts {
		line = PingLine(line[:0], wide, Label(names[i], r.Hosts[i].Addr), &r.Hosts[i])
		out.Write(line)
	}
	if len(r.Hosts) > 1 {
		pingTotal(out, r)
	}
}

// pingTotal writes the line for all hosts.
func pingTotal(out *bytes.Buffer, r *mdalp.PingReport) {
	sent, received, silent := 0, 0, r.Silent()
	for i := range r.Hosts {
		sent, received = sent+r.Hosts[i].Echoes.Sent, received+r.Hosts[i].Echoes.Received
	}
	n := len(r.Hosts)
	fmt.Fprintf(out, "%d hosts: %d answered, %d silent; %d of %d echoes answered",
		n, n-silent, silent, received, sent)
	if sent > 0 {
		// Rounded down, as above.
		fmt.Fprintf(out, ", %d %% lost", 100*(sent-received)/sent)
	}
	out.WriteByte('\n')
}

// Label calls a host by its address, and by its name where that says more.
func Label(name string, a netip.Addr) string {
	s := a.String()
	if name == "" || name == s {
		return usage.Name(s)
	}
	return usage.Name(s) + " (" + usage.Name(name) + ")"
}

// Column is the width of the columns with figures.
const Column = 10

// PingHead appends the line above the table.
func PingHead(b []byte, wide int) []byte {
	b = append(b, "host"...)
	b = pad(b, wide-len("host"))
	for _, s := range []string{"answered", "loss", "min", "median", "mean", "max"} {
		b = right(b, Column, s)
	}
	return append(b, "  ms\n"...)
}

// PingLine appends the line of a host. Thousands of lines by package fmt would take
// longer than the echoes.
func PingLine(b []byte, wide int, name string, h *mdalp.HostPing) []byte {
	e := &h.Echoes
	b = append(b, name...)
	b = pad(b, wide-Columns(name))
	var cell [24]byte
	c := strconv.AppendInt(cell[:0], int64(e.Received), 10)
	c = append(c, '/')
	b = right(b, Column, strconv.AppendInt(c, int64(e.Sent), 10))
	if e.Sent == 0 {
		b = right(b, Column, "-")
	} else {
		// Rounded down, so that 100 % says that nothing came at all.
		b = right(b, Column, append(strconv.AppendInt(cell[:0], int64(100*h.Lost()/e.Sent), 10), " %"...))
	}
	for _, d := range [...]time.Duration{e.Min, e.Median, e.Mean, e.Max} {
		// A time of 0 would be the best of all.
		if e.Received == 0 {
			b = right(b, Column, "-")
			continue
		}
		b = right(b, Column, appendMillis(cell[:0], d))
	}
	if h.Err != nil {
		b = append(append(b, "  "...), usage.Line(h.Err)...)
	}
	return append(b, '\n')
}

// appendMillis appends d in milliseconds, to a thousandth.
func appendMillis(b []byte, d time.Duration) []byte {
	us := int64(d.Round(time.Microsecond) / time.Microsecond)
	b = strconv.AppendInt(b, us/1000, 10)
	rest := us % 1000
	return append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

// right appends s, set to the right of a column. What is wider than the column is
// written whole, and shifts the rest of its line.
func right[S string | []byte](b []byte, wide int, s S) []byte {
	return append(pad(b, wide-len(s)), s...)
}

// pad appends n blanks.
func pad(b []byte, n int) []byte {
	for range n {
		b = append(b, ' ')
	}
	return b
}
