package wire

import "strconv"

// A Standing says how a transaction stands.
type Standing uint8

// The standings, by the names that the wire has for them.
const (
	Unknown    Standing = iota // a word of a later protocol: no answer
	Open                       // "open": segments are taken
	Busy                       // "busy": all is here, and being checked and written
	Complete                   // "complete": whole, equal and on stable storage
	Incomplete                 // "incomplete": the verdict was asked for, and segments are missing
	Damaged                    // "damaged": the digest differs
	Refused                    // "refused"
)

var standings = [...]string{"unknown", "open", "busy", "complete", "incomplete", "damaged", "refused"}

// String gives the word.
func (s Standing) String() string {
	if int(s) < len(standings) {
		return standings[s]
	}
	return "standing " + strconv.Itoa(int(s))
}

// Bounds of the wait that a busy server asks for, in milliseconds.
const (
	MinWait = 10
	MaxWait = 10_000
)

// A State is how the orchestrator says that a transaction stands (Type 5).
type State struct {
	Standing Standing
	// Have lists SEQs that are stored, rising; Told says that there is such a list, if
	// perhaps an empty one.
	Have []Range
	Told bool
	// Upto, if not Absent, says that Have tells no SEQ from it on.
	Upto int64
	// Wait is after how many milliseconds a busy server may be asked again.
	Wait int64
	// Comment says why something was refused, for people.
	Comment string
	// Bytes and Seg are of what is held where sizes changed; Resume is what to resume
	// where the limit closed a transaction. Absent where not told.
	Bytes, Seg, Resume int64
}

// NewState is a State that tells nothing else.
func NewState(s Standing) State {
	return State{Standing: s, Upto: Absent, Bytes: Absent, Seg: Absent, Resume: Absent}
}

// AppendState appends a state of transaction tid in answer to the manifest that had
// number seq. Ranges that do not fit into [MaxManifest] bytes are left out, and 'upto'
// says so.
//
//	Type:5;TID:7;SEQ:0;DATA:{'state': 'open', 'have': '0-40,45'};
func AppendState(b []byte, tid, seq int64, s *State) []byte {
	start := len(b)
	b = append(b, "Type:5;"...)
	b = appendField(b, "TID:", tid)
	b = appendField(b, "SEQ:", seq)
	b = append(b, "DATA:{'state': '"...)
	b = append(b, s.Standing.String()...)
	b = append(b, '\'')
	if s.Standing == Busy {
		b = append(b, ", 'wait': "...)
		b = appendNumber(b, min(MaxWait, max(MinWait, s.Wait)))
	}
	for _, n := range []struct {
		key string
		n   int64
	}{{"bytes", s.Bytes}, {"seg", s.Seg}, {"resume", s.Resume}} {
		if n.n >= 0 {
			b = append(append(append(b, ", '"...), n.key...), "': "...)
			b = appendNumber(b, n.n)
		}
	}
	if s.Comment != "" {
		b = append(b, ", 'comment': "...)
		b = appendRepr(b, s.Comment)
	}
	upto := s.Upto
	if s.Told {
		b = append(b, ", 'have': '"...)
		room := MaxManifest - len(", 'upto': ") - MaxDigits - len("'};")
		for i, r := range s.Have {
			at := len(b)
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendRanges(b, s.Have[i:i+1])
			if len(b)-start > room {
				b, upto = b[:at], r.First
				break
			}
		}
		b = append(b, '\'')
	}
	if upto >= 0 {
		b = append(b, ", 'upto': "...)
		b = appendNumber(b, upto)
	}
	return append(b, "};"...)
}

// ParseState reads the DATA of a state. Keys that are not known are stepped over, and a
// word that is not known gives [Unknown]. The error is a [*SyntaxError].
func ParseState(b []byte) (s State, err error) {
	s = NewState(Unknown)
	s.Wait = Absent
	p := literal{b: b, in: "state"}
	said := false
	ok := p.dict(func(key string) bool {
		at := p.i
		switch key {
		case "state":
			word, is, ok := p.text()
			said = is
			s.Standing = Unknown
			for i := Open; int(i) < len(standings); i++ {
				if word == standings[i] {
					s.Standing = i
				}
			}
			return ok
		case "have":
			text, is, ok := p.text()
			if !ok || !is {
				return ok && p.fail(at, "a string of ranges")
			}
			s.Told = true
			if s.Have, err = ParseRanges([]byte(text)); err != nil {
				return p.fail(at, "rising ranges")
			}
			return true
		case "comment":
			text, _, ok := p.text()
			s.Comment = text
			return ok
		case "wait":
			return p.natural(&s.Wait, true)
		case "upto":
			return p.natural(&s.Upto, true)
		case "bytes":
			return p.natural(&s.Bytes, true)
		case "seg":
			return p.natural(&s.Seg, true)
		case "resume":
			return p.natural(&s.Resume, true)
		}
		return p.value()
	})
	switch {
	case ok && !said:
		ok = p.fail(0, "a dict with the string 'state'")
	case ok && s.Standing == Busy && s.Wait < 0:
		ok = p.fail(0, "a dict with the number 'wait'")
	}
	if !ok {
		return NewState(Unknown), p.err
	}
	if s.Wait >= 0 {
		s.Wait = min(MaxWait, max(MinWait, s.Wait))
	}
	return s, nil
}
