package table

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"mdalp"
)

// Address writes a receiver's address. Its zone may be anything that a stranger wrote
// into the offer.
func Address(a netip.AddrPort) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, a.String())
}

// Millis writes a time in milliseconds, to a thousandth as ping does.
func Millis(d time.Duration) string { return fmt.Sprintf("%.3f ms", float64(d)/1e6) }

// Seconds writes a time in seconds.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// Percent rounds down: 100 % is all. 0 of 0 is 0 %: nothing has begun.
func Percent(done, all int64) int {
	if all == 0 {
		return 0
	}
	return int(float64(done) / float64(all) * 100)
}

// Amount writes bytes for people.
func Amount(n int64) string {
	if n < 10_000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1e3, 0
	// From there on "%.1f" would write 1000.0.
	for f >= 999.95 && unit < 3 {
		f, unit = f/1e3, unit+1
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGT"[unit])
}

// Speed writes bytes a second for people.
func Speed(rate float64) string { return Amount(int64(rate)) + "/s" }

// Squeeze takes out of the middle of s what is more than n columns: an address tells
// most at its ends.
func Squeeze(s string, n int) string {
	if len(s) <= n {
		return s
	}
	back := (n - 2) / 2
	return s[:n-2-back] + ".." + s[len(s)-back:]
}

// Assigned is the number of segments that are, or were, a receiver's to send.
func Assigned(x *mdalp.ReceiverReport) int64 { return x.Assigned + x.Took - x.Gave }

// Remaining is the number of segments still to be acknowledged by a receiver.
func Remaining(x *mdalp.ReceiverReport) int64 { return max(0, Assigned(x)-x.Acked) }

// Count gives "1 packet", "2 packets", or the plural that is named.
func Count[N int | int64](n N, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprintf("%d %s", n, many[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// often says how often.
func often[N int | int64](n N) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// clock is the time of day of an instant. The day stands in the first line of the file.
func clock(at time.Time) string {
	if at.IsZero() {
		return "at no time"
	}
	return at.UTC().Format("15:04:05.000000")
}
