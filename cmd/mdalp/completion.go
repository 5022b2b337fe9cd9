package main

import (
	"net"
	"strings"

	"mdalp/cmd/internal/shell"
	"mdalp/internal/lab"
)

// completions are the values of options that are one of a few. It is made only when a
// completion script asks. Keys and values are as shell.Complete has them:
// "value\tmeaning", and "command option" where a command differs. A value that is
// missing here still works, it is only not offered.
func completions() shell.Values {
	// Of send; bench has no "none", as it measures each receiver alone in any case.
	balance := []string{"icmp\tby inverse latency, as the protocol has it", "equal\tthe same to all",
		"adaptive\ta receiver that is done helps the slowest"}
	ping := []string{"auto\traw, else dgram, else none", "raw\traw sockets", "dgram\tICMP datagram sockets"}
	v := shell.Values{
		"mode":          {"1\tbalance over all receivers", "2\tsend to one"},
		"balance":       append([]string{"none\tall to one receiver"}, balance...),
		"bench balance": balance,
		"rto":           {"adaptive\tthe measured time", "fixed\t3 s"},
		"ping":          append([]string{"off\tno pings"}, ping...),
		"ping ping":     ping,
		"progress":      {"auto\tbars on a terminal", "plain\tlines", "off"},
		"log-format":    {"text", "json", "original\tas the original client"},
		"segment":       {"auto\tas many as the path and the receivers take"},
		"resume":        {"auto\tif the file is as it was", "off\tfrom the start"},
		"offload":       {"auto\twhere the kernel does it", "off"},
		"bench format":  {"table", "json", "benchfmt\tfor benchstat"},
		"profile":       append(lab.Names(), "..."),
	}
	// --bind takes an interface too.
	// Without them there is nothing to offer; an error on the terminal would be in the way of
	// what is being typed.
	all, _ := net.Interfaces()
	for _, i := range all {
		v["bind"] = append(v["bind"], i.Name+"\t"+i.Flags.String())
	}
	return v
}

// arrangeCompletion arranges the arguments that a completion script gives: as on a real
// command line, "send" may be left out.
func arrangeCompletion(args []string) []string {
	// args[0] is cobra's hidden command, which Asked has made sure of; what the user typed
	// follows.
	if strings.HasPrefix(args[1], "-") {
		return append([]string{args[0], "send"}, args[1:]...)
	}
	return args
}
