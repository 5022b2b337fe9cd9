package engine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"mdalp/wire"
)

// What an engine has was written by this or another release, or by whoever operates it. It is
// looked at once, where it is read: who has a record or a party need not doubt that an ID is fit
// for the name of a file, that sizes can be divided, and that what is printed is of one line.

// MostRecord is the most bytes that a record may have: one of 200 receivers has 20,000.
const MostRecord = 64 << 10

// mostBytes is the most bytes of a payload, that of package server.
const mostBytes = 1 << 46

// mostText is the most bytes of a name for people, and of a zone.
const mostText = 255

// Nameable says whether an ID is fit for the name of a file and of a key: 1 to 64 letters, digits,
// dashes and underscores.
func Nameable(id string) bool {
	ok := len(id) > 0 && len(id) <= 64
	for _, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		ok = ok && (letter || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	return ok
}

// Printable says whether a zone, or a name for people, is of one line and not too long.
func Printable(s string) bool {
	plain := func(r rune) bool { return r >= ' ' && r != '\x7f' && !(r >= 0x80 && r < 0xa0) && r != '\ufffd' }
	return len(s) <= mostText && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) })
}

// digits says whether s is n bytes in hexadecimal digits, or empty.
func digits(s string, n int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && (s == "" || len(b) == n)
}

// Check gives what a record can never have, whatever release wrote it.
func (r *Record) Check() error {
	switch {
	case r.TID < 0:
		return errors.New("its number is negative")
	case !r.State.known():
		return fmt.Errorf("it has no state %.20q", r.State)
	case !Nameable(r.Owner):
		return fmt.Errorf("its owner is no ID: %.80q", r.Owner)
	case !r.Client.IsValid():
		return errors.New("it has no client")
	case !r.Offered.IsZero() && (r.Offered.Year() < 1970 || r.Offered.Year() > 2261):
		return fmt.Errorf("it was offered in the year %d", r.Offered.Year())
	case len(r.Name) > wire.MaxName:
		return fmt.Errorf("a name of %d bytes", len(r.Name))
	case r.Resumed < 0:
		return errors.New("it took over a number that is negative")
	case !digits(r.SHA256, 32) || !digits(r.Print, 16):
		return errors.New("its digest, or that of its key, is none")
	}
	for i := range r.Receivers {
		if err := r.Receivers[i].check(); err != nil {
			return err
		}
	}
	return r.sized()
}

// sized is Check of what is about its payload's size.
func (r *Record) sized() error {
	extended := r.Bytes > 0
	switch {
	case r.Bytes < 0 || r.Bytes > mostBytes || r.Segment < 0 || r.Segment > wire.MaxSegment,
		extended != (r.Segment > 0), extended && r.Segment < wire.MinSegment && r.Bytes > r.Segment:
		return fmt.Errorf("a payload of %d bytes in segments of %d", r.Bytes, r.Segment)
	case r.Base && extended:
		return errors.New("it is of the base protocol, and tells a size")
	case r.State == Open && !extended, r.State == Settling && !extended && !r.Base:
		return fmt.Errorf("it is %s, and tells no size", r.State)
	}
	return nil
}

func (s *Station) check() error {
	switch {
	case !Nameable(s.ID):
		return fmt.Errorf("a receiver has no ID: %.80q", s.ID)
	case !s.Addr.IsValid() || s.Addr.Port() == 0:
		return fmt.Errorf("receiver %s has no address", s.ID)
	case s.Seg < 0, !offerable(max(s.Seg, wire.MinSegment), s.Win): // what was offered once is over
		return fmt.Errorf("receiver %s takes %d segments of %d bytes", s.ID, s.Win, s.Seg)
	}
	return nil
}

// offerable says whether a client takes these numbers in an offer: one that it does not take makes it one
// of the base protocol, whatever the other receivers can.
func offerable(seg, win int) bool {
	return (seg == 0 || seg >= wire.MinSegment) && seg <= wire.MaxSegment && win >= 0 && win <= wire.MaxWindow
}

// Check gives what a party can never have.
func (p *Party) Check() error {
	switch {
	case p.Role != Orchestrator && p.Role != Receiver:
		return fmt.Errorf("there is no role %.20q", p.Role)
	case !Nameable(p.ID):
		return fmt.Errorf("it has no ID: %.80q", p.ID)
	case !p.Addr.IsValid() || p.Addr.Port() == 0:
		return errors.New("it has no address")
	case !Printable(p.Zone) || !Printable(p.Name):
		return errors.New("its zone, or its name, is of more than one line, or too long")
	case p.Start != "" && !Nameable(p.Start):
		return errors.New("its start is none")
	case !offerable(p.Seg, p.Win) || p.Open < 0:
		return fmt.Errorf("it takes %d segments of %d bytes, and has %d transactions", p.Win, p.Seg, p.Open)
	}
	return nil
}

// known reports whether s is one of the states.
func (s State) known() bool {
	switch s {
	case Created, Open, Settling, Complete, Damaged, Kept, Void:
		return true
	}
	return false
}
