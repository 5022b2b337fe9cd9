package seal

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
)

// A Secret is what opens a recorded transaction. The key alone does not: the handshake's
// own keys were drawn for it, and are nowhere in the record. Who keeps a Secret gives that
// up for this one transaction.
type Secret struct {
	TID int64
	// Client and Server are Noise's transport keys: what the client seals, and what the
	// server does.
	Client, Server [32]byte
	// Offer is the plain offer, a whole datagram.
	Offer []byte
}

// Secret gives what opens the transaction of a client's session.
func (s *Session) Secret(tid int64, offer []byte) *Secret {
	return &Secret{TID: tid, Client: s.to, Server: s.from, Offer: offer}
}

// keyLogWord is how a line of a key log begins.
const keyLogWord = "MDALP"

// AppendKeyLog appends a line of a key log: the word MDALP, the TID, both keys in
// hexadecimal, and the offer in base64, with blanks between.
func AppendKeyLog(b []byte, x *Secret) []byte {
	b = append(b, keyLogWord+" "...)
	b = strconv.AppendInt(b, x.TID, 10)
	for _, k := range [...]*[32]byte{&x.Client, &x.Server} {
		b = hex.AppendEncode(append(b, ' '), k[:])
	}
	b = base64.StdEncoding.AppendEncode(append(b, ' '), x.Offer)
	return append(b, '\n')
}

// errKeyLog is what is wrong with a line that is none of a key log. It tells nothing of it.
var errKeyLog = errors.New("a line of it is none of a key log")

// IsKeyLog reports whether a text is a key log, and no key.
func IsKeyLog(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return bytes.HasPrefix(line, []byte(keyLogWord+" "))
		}
	}
	return false
}

// ParseKeyLog reads a key log. Lines that are empty or begin with # mean nothing.
func ParseKeyLog(text []byte) (all []*Secret, err error) {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		part := bytes.Split(line, []byte{' '})
		if len(part) != 5 || string(part[0]) != keyLogWord {
			return nil, errKeyLog
		}
		x := new(Secret)
		for i, to := range [...]*[32]byte{&x.Client, &x.Server} {
			if len(part[2+i]) != 2*len(to) {
				return nil, errKeyLog
			}
			if _, err := hex.Decode(to[:], part[2+i]); err != nil {
				return nil, errKeyLog
			}
		}
		if x.TID, err = strconv.ParseInt(string(part[1]), 10, 64); err != nil || x.TID < 0 {
			return nil, errKeyLog
		}
		if x.Offer, err = base64.StdEncoding.AppendDecode(nil, part[4]); err != nil {
			return nil, errKeyLog
		}
		all = append(all, x)
	}
	return all, nil
}

// An Opener opens what was recorded of a transaction. It remembers no numbers: a record
// may have a datagram twice.
type Opener struct {
	client, server [32]byte
	made           map[int]cipher.AEAD // by channel, and negative if the server seals there
}

// Opener makes one.
func (x *Secret) Opener() *Opener {
	return &Opener{x.Client, x.Server, make(map[int]cipher.AEAD)}
}

// Open gives what b[data:] held before it was sealed, appended to b[:data] in a slice of
// its own; b stays as it is. n is NUM or SEQ, channel as in [Session.Channel]; client says
// who sealed it. The error is [ErrForged].
func (o *Opener) Open(b []byte, data int, n uint64, channel int, client bool) ([]byte, error) {
	at, transport := channel, &o.client
	if !client {
		at, transport = -1-channel, &o.server
	}
	a := o.made[at]
	if a == nil {
		key := channelKey(transport, channel)
		a = aead(&key)
		o.made[at] = a
	}
	var c Channel
	out, err := a.Open(bytes.Clone(b[:data]), c.at(n), b[data:], b[:data])
	if err != nil {
		return nil, ErrForged
	}
	return out, nil
}
