package main

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"mdalp"
	"mdalp/cmd/internal/usage"
	"mdalp/loop"
)

// What a segment and a window of an extended transaction may be (PROTOCOL.md): the server
// says the same of its own.
const (
	segmentLeast = 100
	segmentMost  = 65_000
	windowMost   = 1 << 20
)

// extendedOptions are the options of extended transactions.
type extendedOptions struct {
	segment segmentSize // bytes; 0 is auto
	window  int         // segments; 0 is as many as the network carries
	rate    rate        // bytes a second, of all receivers together; 0 is no bound
	base    bool
	key     string // the file
	offload string

	noVerify bool
	resume   resumption // send's alone
}

// declare adds the options to f.
func (o *extendedOptions) declare(f *pflag.FlagSet) {
	f.Var(&o.segment, "segment", "`bytes` in a segment, 100 to 65000; auto: what path and receivers take")
	f.IntVar(&o.window, "window", 0,
		"`segments` out at a receiver at most (0: as many as the network carries)")
	f.Var(&o.rate, "rate", "`bits` a second over all receivers, as 10M, or bytes as 1.5MB (0: no bound)")
	f.StringVar(&o.key, "key", "",
		"key `file`: seal everything with its key, which the server must have too (see mdalp key)")
	f.BoolVar(&o.base, "base", false, "speak the base protocol, also where all could more")
	f.StringVar(&o.offload, "offload", "auto", "let the kernel cut trains of segments: auto or off")
	f.BoolVar(&o.noVerify, "no-verify", false,
		"send no digest and ask for no verdict: acknowledged is enough")
	f.Lookup("rate").DefValue = "0" // which the help leaves out, as it does for numbers
}

// check looks at what the options' own types let pass. --base makes the others
// meaningless, but for the rate: who gives both did not mean one of them.
func (o *extendedOptions) check() error {
	_, err := loop.ParseOffload(o.offload)
	switch {
	case o.window < 0 || o.window > windowMost:
		return usage.Errorf("--window %d: it is 1 to %d, or 0 for as many as the network carries",
			o.window, windowMost)
	case err != nil:
		return usage.Errorf("--offload %s: it is auto or off", usage.Shown(o.offload))
	case o.base && o.segment != 0:
		return usage.Errorf("--segment %v does not go with --base, whose segments have 100 bytes", &o.segment)
	case o.base && o.resume.given:
		return usage.Errorf("--resume %v does not go with --base, which resumes nothing", &o.resume)
	case o.base && o.key != "":
		return usage.Errorf("--key %s does not go with --base, which is never sealed", o.key)
	case o.base && o.window != 0:
		return usage.Errorf("--window %d does not go with --base, which has one segment out at a receiver",
			o.window)
	}
	return nil
}

// apply puts what was asked for into a configuration.
func (o *extendedOptions) apply(c *mdalp.Config) {
	c.Base, c.Segment, c.Window, c.Rate = o.base, int(o.segment), o.window, int64(o.rate)
	c.Offload, _ = loop.ParseOffload(o.offload) // checked
	c.NoVerify = o.noVerify
}

// A segmentSize is the value of --segment.
type segmentSize int

// Set implements pflag.Value.
func (s *segmentSize) Set(text string) error {
	if text == "auto" {
		*s = 0
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < segmentLeast || n > segmentMost {
		return errors.New("it is auto, or 100 to 65000 bytes")
	}
	*s = segmentSize(n)
	return nil
}

// String implements pflag.Value.
func (s *segmentSize) String() string {
	if *s == 0 {
		return "auto"
	}
	return strconv.Itoa(int(*s))
}

// Type implements pflag.Value.
func (s *segmentSize) Type() string { return "segment" }

// A rate is the value of --rate, in bytes a second.
type rate int64

// errRate says what a rate is.
var errRate = errors.New("it is bits a second, as 10M or 10Mbit, or bytes, as 1.5MB or 8MiB/s")

// Set implements pflag.Value: a number, a prefix of the SI (k, M, G, T) or of the IEC (Ki,
// Mi, Gi, Ti), and the unit. Without one it is bits, as rates of links are: B alone, in
// upper case, is bytes. "/s" or "ps" may follow a unit.
func (r *rate) Set(text string) error {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/ ")
	unit := strings.TrimSpace(text[len(number):])
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.ContainsAny(number, "_xXpP") || v < 0 || math.IsInf(v, 0) {
		return errRate
	}
	scale := 1.0
	if i := strings.IndexByte("kmgt", byte(unit0(unit)|0x20)); i >= 0 {
		base := 1000.0
		if unit = unit[1:]; strings.HasPrefix(unit, "i") {
			base, unit = 1024, unit[1:]
		}
		scale = math.Pow(base, float64(i+1))
	}
	if s, ok := strings.CutSuffix(unit, "/s"); ok && s != "" {
		unit = s
	} else if s, ok := strings.CutSuffix(unit, "ps"); ok && s != "" {
		unit = s
	}
	switch unit {
	case "B", "byte", "bytes":
	case "", "b", "bit", "bits":
		scale /= 8
	default:
		return errRate
	}
	bytes := math.Round(v * scale)
	switch {
	case v > 0 && bytes < 1:
		return errors.New("it is less than a byte a second")
	case bytes > 1e15:
		return errors.New("it is more than any network carries")
	}
	*r = rate(bytes)
	return nil
}

// unit0 is the first byte of a unit, or 0.
func unit0(unit string) byte {
	if unit == "" {
		return 0
	}
	return unit[0]
}

// String implements pflag.Value.
func (r *rate) String() string {
	if *r == 0 {
		return "0"
	}
	return strconv.FormatInt(int64(*r), 10) + "B"
}

// Type implements pflag.Value.
func (r *rate) Type() string { return "rate" }
