package icmp

import "strconv"

// An Outcome is what became of a message that was received.
type Outcome uint8

const (
	// Counted is the first reply to an echo of ours.
	Counted Outcome = iota
	// Duplicate is a further reply to one.
	Duplicate
	// Foreign is a message that answers no echo of ours: of another type, with
	// another cookie, from another host.
	Foreign
	// Malformed is none that ICMP allows: too short, or with a wrong checksum.
	Malformed
)

// String gives the name of the outcome, in lower case.
func (o Outcome) String() string {
	switch o {
	case Counted:
		return "counted"
	case Duplicate:
		return "duplicate"
	case Foreign:
		return "foreign"
	case Malformed:
		return "malformed"
	}
	return "outcome(" + strconv.Itoa(int(o)) + ")"
}
