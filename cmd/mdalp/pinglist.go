package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"mdalp/cmd/internal/usage"
)

// pingLimit is how many hosts one ping takes. There must be some end to what is
// read from standard input.
const pingLimit = 10_000

// expandHosts gives the hosts of the arguments, of in where they say "-", and then of the
// files: names, addresses and networks, one a line. Networks are spelled out.
func expandHosts(args, files []string, in io.Reader) ([]string, error) {
	var all []string
	from := "the command line"
	for _, a := range args {
		err := error(nil)
		if a == "-" {
			from = "standard input"
			all, err = appendList(all, in, from)
		} else {
			all, err = appendHosts(all, a)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, name := range files {
		var err error
		if all, err = appendFile(all, name, in); err != nil {
			return nil, err
		}
		from = listName(name)
	}
	if len(all) == 0 {
		return nil, usage.Errorf("%s names no host", from)
	}
	return all, nil
}

// listName is what messages call a list of hosts.
func listName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return "-f " + file
}

// appendFile appends the hosts that a file lists.
func appendFile(all []string, name string, in io.Reader) ([]string, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("-f %s: %w", name, usage.File(err))
		}
		defer f.Close()
		in = f
	}
	return appendList(all, in, listName(name))
}

// appendList appends the hosts of a list. Empty lines are passed over, and what follows
// a #, which no name and no address has.
func appendList(all []string, in io.Reader, what string) ([]string, error) {
	lines := bufio.NewScanner(in)
	for first := true; lines.Scan(); first = false {
		line := lines.Text()
		if first {
			line = strings.TrimPrefix(line, "\ufeff") // a byte order mark, as Windows has it
		}
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		var err error
		if all, err = appendHosts(all, line); err != nil {
			return nil, err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, usage.Errorf("%s has a line of more than %d bytes, which is no host: one a line",
			what, bufio.MaxScanTokenSize)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, usage.File(err))
	}
	return all, nil
}

// appendHosts appends a host, or the hosts of a network.
func appendHosts(all []string, host string) ([]string, error) {
	switch {
	// A line with words behind the name, or a table: better refused than half looked up.
	case host == "" || strings.ContainsAny(host, " \t"):
		return nil, usage.Errorf("%q is no host: one a line", host)
	case strings.Contains(host, "/"):
		more, err := network(host)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	default:
		all = append(all, host)
	}
	if len(all) > pingLimit {
		return nil, usage.Errorf("more than %d hosts", pingLimit)
	}
	return all, nil
}

// network gives the hosts of a network in CIDR notation (RFC 4632, section 3.1; RFC 4291,
// section 2.3). Its first and last address are left out where they are no host's: in IPv4,
// but for /31 (RFC 3021) and /32. A zone stands behind the address.
func network(text string) ([]string, error) {
	base, length, _ := strings.Cut(text, "/")
	a, err := netip.ParseAddr(bare(base))
	if err == nil {
		var p netip.Prefix
		if p, err = netip.ParsePrefix(a.WithZone("").String() + "/" + length); err == nil {
			return prefixHosts(text, p, a.Zone())
		}
	}
	return nil, usage.Errorf("%q is neither a host nor a network such as 192.0.2.0/28", text)
}

// prefixHosts gives the hosts of p, which text stands for.
func prefixHosts(text string, p netip.Prefix, zone string) ([]string, error) {
	left := p.Addr().BitLen() - p.Bits()
	ends := p.Addr().Is4() && left >= 2
	n := 1 << min(left, 16) // more than the limit
	if ends {
		n -= 2
	}
	if n > pingLimit {
		return nil, usage.Errorf("%s is too large: %d hosts are the most", text, pingLimit)
	}
	a := p.Masked().Addr()
	if ends {
		a = a.Next()
	}
	all := make([]string, n)
	for i := range all {
		all[i] = a.WithZone(zone).String()
		a = a.Next()
	}
	return all, nil
}
