package main

import (
	"errors"

	"mdalp"
	"mdalp/cmd/internal/shape"
)

// newHead makes the beginning of the object of a command that ended with err. An exit
// code alone, as of a host that does not answer, is no error: the object tells it.
func newHead(schema string, err error) shape.Head {
	j := shape.Head{Schema: schema, Version: mdalp.Version}
	var code exited
	switch {
	case err == nil:
	case errors.As(err, &code):
		j.ExitCode = int(code)
	default:
		j.ExitCode, j.Error = exitCode(err), &shape.Failure{Kind: errorKind(err), Message: err.Error()}
	}
	return j
}

// errorKind is a word for scripts. It is finer than the exit code only where a script
// may want to act on it: a bad offer does not get better by asking again.
func errorKind(err error) string {
	switch c := exitCode(err); {
	case c == exitInterrupted:
		return "interrupted"
	case c == exitUsage:
		return "usage"
	case errors.Is(err, mdalp.ErrBadOffer):
		return "bad_offer"
	case c == exitNoOffer:
		return "no_offer"
	case c == exitIncomplete:
		return "incomplete"
	case errors.Is(err, mdalp.ErrRefused):
		return "refused"
	case errors.Is(err, mdalp.ErrDamaged):
		return "damaged"
	case c == exitUnverified:
		return "unverified"
	}
	return "system"
}
