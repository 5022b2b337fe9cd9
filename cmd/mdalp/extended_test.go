package main

import (
	"testing"

	"github.com/spf13/pflag"

	"mdalp/cmd/internal/usage"
)

func TestRate(t *testing.T) {
	const bad = -1
	for _, c := range []struct {
		text string
		want rate // bytes a second
	}{
		{"0", 0}, {"8", 1}, {"10M", 1_250_000}, {"10Mbit", 1_250_000}, {"10Mbit/s", 1_250_000}, {"10Mbps", 1_250_000},
		{"10Mb", 1_250_000}, {"10 Mbit/s", 1_250_000}, {"10m", 1_250_000}, {"1.5MB/s", 1_500_000}, {"1.5MBps", 1_500_000},
		{"1.5MB", 1_500_000}, {"8MiB", 8 << 20}, {"8MiB/s", 8 << 20}, {"8Mi", 1 << 20}, {"8Kibit", 1024}, {"1kB", 1000}, {"1KB", 1000},
		{"100B", 100}, {"1G", 125_000_000}, {"2.5Gbit", 312_500_000}, {"1TiB", 1 << 40}, {".5MB", 500_000}, {"1e3B", 1000},
		{"", bad}, {"fast", bad}, {"-1M", bad}, {"10X", bad}, {"M", bad}, {"1M2", bad}, {"10MBit", bad}, {"10/s", bad}, {"0x10", bad},
		{"inf", bad}, {"NaN", bad}, {"1_000", bad}, {"1", bad}, {"9e18", bad}, {"1i", bad}, {"10 M x", bad}, {"10ps", bad}, {"1,5M", bad},
	} {
		got := rate(bad)
		if err := got.Set(c.text); (err != nil) != (c.want == bad) || got != c.want {
			t.Errorf("%q: %d, %v; want %d", c.text, got, err, c.want)
		}
		// What is shown means the same.
		if again := rate(0); c.want > 0 && (again.Set(got.String()) != nil || again != got) {
			t.Errorf("%q is shown as %q, which is %d", c.text, got.String(), again)
		}
	}
}

func TestExtendedOptions(t *testing.T) {
	for _, c := range []struct {
		args []string
		want extendedOptions
		err  string
	}{
		{nil, extendedOptions{offload: "auto"}, ""},
		{[]string{"--segment", "auto", "--window", "0", "--rate", "0"}, extendedOptions{offload: "auto"}, ""},
		{[]string{"--segment=1200", "--window=64", "--rate=10M", "--offload=off"}, extendedOptions{segment: 1200, window: 64, rate: 1_250_000, offload: "off"}, ""},
		{[]string{"--base", "--rate", "1MB"}, extendedOptions{base: true, rate: 1_000_000, offload: "auto"}, ""},
		{[]string{"--segment", "99"}, extendedOptions{}, `--segment: "99": it is auto, or 100 to 65000 bytes`},
		{[]string{"--segment", "65001"}, extendedOptions{}, `--segment: "65001": it is auto, or 100 to 65000 bytes`},
		{[]string{"--segment", "1k"}, extendedOptions{}, `--segment: "1k": it is auto, or 100 to 65000 bytes`},
		{[]string{"--window", "-1"}, extendedOptions{}, "--window -1: it is 1 to 1048576, or 0 for as many as the network carries"},
		{[]string{"--window", "1048577"}, extendedOptions{}, "--window 1048577: it is 1 to 1048576, or 0 for as many as the network carries"},
		{[]string{"--window", "x"}, extendedOptions{}, `--window: "x" is no whole number, or too large`},
		{[]string{"--rate", "fast"}, extendedOptions{}, `--rate: "fast": it is bits a second, as 10M or 10Mbit, or bytes, as 1.5MB or 8MiB/s`},
		{[]string{"--offload", ""}, extendedOptions{}, `--offload "": it is auto or off`},
		{[]string{"--base", "--segment", "1200"}, extendedOptions{}, "--segment 1200 does not go with --base, whose segments have 100 bytes"},
		{[]string{"--base", "--window", "2"}, extendedOptions{}, "--window 2 does not go with --base, which has one segment out at a receiver"},
	} {
		var o extendedOptions
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.declare(f)
		err := f.Parse(c.args)
		if err != nil {
			err = usage.Flag(err)
		} else {
			err = o.check()
		}
		switch {
		case err != nil:
			if err.Error() != c.err || !usage.Is(err) {
				t.Errorf("%q: %v, want %s", c.args, err, c.err)
			}
		case c.err != "" || o != c.want:
			t.Errorf("%q: %+v, want %+v, %s", c.args, o, c.want, c.err)
		}
	}
}
