package lab

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"mdalp/internal/sim"
)

// A Profile is a network to play: who is in it, and how the paths between the
// client and each of them treat datagrams. Its JSON form is the one of the files
// in the folder profiles, which are the profiles that are built in. Spans of time
// are in milliseconds, probabilities from 0 to 1.
type Profile struct {
	Name         string       `json:"name,omitempty"`
	About        string       `json:"about,omitempty"` // one sentence for people
	Orchestrator Orchestrator `json:"orchestrator"`
	Receivers    []Receiver   `json:"receivers"` // in the order of the offer, 1 to MaxReceivers
	// Access is the line that the client is behind; nil is none.
	Access *Access `json:"access,omitempty"`
}

// Access is a line that all datagrams of a client pass, to and from whichever address, as
// the one between a house and its provider. A rate and a queue there are those of all
// receivers together. Echoes do not pass it: their own links tell the whole way.
type Access struct {
	Forward  sim.LinkConfig `json:"forward,omitzero"`  // from the client
	Backward sim.LinkConfig `json:"backward,omitzero"` // to the client
	// Shared makes it one line for all clients, who then take from each other. Else each
	// has one of its own; by their ports they are told apart.
	Shared bool `json:"shared,omitempty"`
}

// An Orchestrator takes the intents. It listens on the port of the receivers,
// 4650.
type Orchestrator struct {
	Address    netip.Addr     `json:"address"`
	OfferDelay sim.Millis     `json:"offer_delay_ms,omitempty"` // how long an intent waits for its offer
	Forward    sim.LinkConfig `json:"forward,omitzero"`         // intents
	Backward   sim.LinkConfig `json:"backward,omitzero"`        // offers
	Ping       sim.LinkConfig `json:"ping,omitzero"`            // echoes, there and back in one
}

// A Receiver takes segments.
type Receiver struct {
	Address  netip.Addr     `json:"address"`
	Name     string         `json:"name,omitempty"`
	Forward  sim.LinkConfig `json:"forward,omitzero"`  // segments
	Backward sim.LinkConfig `json:"backward,omitzero"` // acknowledgements
	Ping     sim.LinkConfig `json:"ping,omitzero"`     // echoes, there and back in one

	// Dead makes it silent from the start, to pings too.
	Dead bool `json:"dead,omitempty"`
	// Refuse closes its port: segments are answered with ICMP port unreachable,
	// pings as ever.
	Refuse bool `json:"refuse,omitempty"`
	// DieAfter makes it silent that long after the client's first datagram, its
	// intent; ReviveAfter, counted from there too, lets it answer again. 0 is never.
	DieAfter    sim.Millis `json:"die_after_ms,omitempty"`
	ReviveAfter sim.Millis `json:"revive_after_ms,omitempty"`
}

// MaxReceivers is the most receivers of a profile. Each takes a socket.
const MaxReceivers = 256

// maxProfile is the most bytes of a profile's file. A replayed trace may be long.
const maxProfile = 16 << 20

//go:embed profiles/*.json
var builtin embed.FS

// names are the built-in profiles in the order in which they are shown.
var names = []string{"continents", "capture", "lossy", "lan", "misleading", "dead", "refusing",
	"dying", "reviving",
	"broadband", "datacentre", "satellite", "shared", "tampered"}

// Names gives the names of the profiles that are built in, the default one first.
func Names() []string { return append([]string(nil), names...) }

// Profiles gives the profiles that are built in, the default one first.
func Profiles() []*Profile {
	ps := make([]*Profile, len(names))
	for i, n := range names {
		p, err := Load(n)
		if err != nil {
			panic("lab: built-in " + err.Error())
		}
		ps[i] = p
	}
	return ps
}

// Load gives the built-in profile of that name, else reads the file; "" is the
// default profile. A file's name with a slash or a dot in it is never taken for a
// built-in one. The error is one line.
func Load(nameOrFile string) (*Profile, error) {
	if nameOrFile == "" {
		nameOrFile = names[0]
	}
	for _, n := range names {
		if n == nameOrFile {
			b, err := builtin.ReadFile("profiles/" + n + ".json")
			if err != nil {
				return nil, err
			}
			return parse(n, b)
		}
	}
	f, err := os.Open(nameOrFile)
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(nameOrFile, "./") {
		return nil, fmt.Errorf("no profile %q: built in are %s; anything else is a file", nameOrFile,
			strings.Join(names, ", "))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxProfile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxProfile {
		return nil, fmt.Errorf("profile %s: longer than %d bytes", nameOrFile, maxProfile)
	}
	p, err := parse(nameOrFile, b)
	if err != nil {
		return nil, err
	}
	if p.Name == "" {
		p.Name = nameOrFile
	}
	return p, nil
}

// parse decodes strictly: a field that nobody knows is a mistake in the file, and
// to pass over it would play another network than the one that was meant.
func parse(file string, b []byte) (*Profile, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	p := new(Profile)
	if err := dec.Decode(p); err != nil {
		return nil, located(file, b, dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, located(file, b, dec.InputOffset(), errors.New("something follows the profile"))
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("profile %s: %w", file, err)
	}
	return p, nil
}

// located makes one line of an error of the decoder, with the line in the file
// where it knows one.
func located(file string, b []byte, at int64, err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	what := strings.TrimPrefix(err.Error(), "json: ")
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		at, what = int64(len(b)), "the file ends too early"
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &typ):
		at, what = typ.Offset, fmt.Sprintf("%s can not be a %s", typ.Field, typ.Value)
	case strings.HasPrefix(what, "unknown field"):
		return fmt.Errorf("profile %s: %s", file, what)
	}
	if at <= 0 {
		return fmt.Errorf("profile %s: %s", file, what)
	}
	line := 1 + bytes.Count(b[:min(at, int64(len(b)))], []byte("\n"))
	return fmt.Errorf("profile %s: line %d: %s", file, line, what)
}

// Validate says in one line what is wrong with p, or returns nil.
func (p *Profile) Validate() error {
	if n := len(p.Receivers); n == 0 || n > MaxReceivers {
		return fmt.Errorf("%d receivers: 1 to %d are possible", n, MaxReceivers)
	}
	if p.Orchestrator.OfferDelay < 0 {
		return errors.New("offer_delay_ms is below 0")
	}
	seen := map[netip.Addr]bool{}
	for i, x := range p.places() {
		who := "orchestrator"
		if i > 0 {
			who = fmt.Sprintf("receiver %d", i)
		}
		switch a := x.addr; {
		case !a.IsValid():
			return fmt.Errorf("%s: no address", who)
		case a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast():
			return fmt.Errorf("%s: address %v can not be played", who, a)
		case a == client4 || a == client6:
			return fmt.Errorf("%s: address %v is the client's", who, a)
		case seen[a]:
			return fmt.Errorf("%s: address %v is there twice", who, a)
		default:
			seen[a] = true
		}
		for _, l := range []struct {
			name string
			cfg  *sim.LinkConfig
		}{{"forward", &x.forward}, {"backward", &x.backward}, {"ping", &x.ping}} {
			if err := l.cfg.Validate(); err != nil {
				return fmt.Errorf("%s: %s: %w", who, l.name, err)
			}
		}
		if x.dies < 0 || x.revives < 0 {
			return fmt.Errorf("%s: die_after_ms and revive_after_ms can not be below 0", who)
		}
		if x.revives > 0 && x.revives <= x.dies {
			return fmt.Errorf("%s: it revives before it dies", who)
		}
	}
	if a := p.Access; a != nil {
		if err := a.Forward.Validate(); err != nil {
			return fmt.Errorf("access: forward: %w", err)
		}
		if err := a.Backward.Validate(); err != nil {
			return fmt.Errorf("access: backward: %w", err)
		}
	}
	for i, r := range p.Receivers {
		if len(r.Name) > 200 {
			return fmt.Errorf("receiver %d: a name of more than 200 bytes", i+1)
		}
	}
	return nil
}
