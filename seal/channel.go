package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/flynn/noise"
)

const (
	// Overhead is how much longer a datagram becomes by being sealed, in bytes: the tag.
	Overhead = 16
	// Orchestrator is the orchestrator's channel. A receiver's is its place in the offer,
	// from 0.
	Orchestrator = 65535
	// MaxNumber is the number from which on nothing is sealed: 2^28 datagrams are the most
	// that one key is good for.
	MaxNumber = 1 << 28
)

// Why a datagram was not sealed, or not opened.
var (
	// ErrReplayed says that the number of a datagram was there before, or is too old to tell.
	ErrReplayed = errors.New("its number was there before")
	// ErrNumber says that a number may not be used to seal: it is not above those before,
	// or it is [MaxNumber] or above.
	ErrNumber = errors.New("its number may not be used")
)

// A Session is the keys of one transaction, after its handshake.
type Session struct {
	to, from [32]byte // Noise's transport keys
	channels map[int]*Channel
}

func newSession(to, from *noise.CipherState) *Session {
	return &Session{to.UnsafeKey(), from.UnsafeKey(), make(map[int]*Channel)}
}

// Channel gives channel n, 0 to [Orchestrator]. It is made when it is first asked for.
func (s *Session) Channel(n int) *Channel {
	c := s.channels[n]
	if c == nil {
		c = NewChannel(s.Keys(n))
		s.channels[n] = c
	}
	return c
}

// Keys is what channel n needs, for who has only that channel: nothing about another can be
// told from it.
func (s *Session) Keys(n int) ChannelKeys {
	return ChannelKeys{Seal: channelKey(&s.to, n), Open: channelKey(&s.from, n)}
}

// ChannelKeys are the keys of one channel as one end of it has them. Of all channels that are
// made of the same keys only one may ever seal, or numbers would be used twice.
type ChannelKeys struct{ Seal, Open [32]byte }

// NewChannel makes a channel of its keys.
func NewChannel(k ChannelKeys) *Channel { return &Channel{seal: aead(&k.Seal), open: aead(&k.Open)} }

// channelKey is the key of one direction of a channel.
func channelKey(transport *[32]byte, n int) [32]byte {
	key, err := hkdf.Key(sha256.New, transport[:], nil, "mdalp channel "+strconv.Itoa(n), 32)
	if err != nil {
		panic(err) // of a length that is too long, which 32 is not
	}
	return [32]byte(key)
}

// aead makes the cipher of one direction of a channel.
func aead(key *[32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // of a length that is no key's
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // of a block that is not AES's
	}
	return a
}

// A Channel seals and opens what one client and one receiver, or the orchestrator, say to
// each other. Each direction has a key of its own.
type Channel struct {
	seal, open cipher.AEAD
	nonce      [12]byte // a field, so that it need not be allocated
	next       uint64   // no number below it may be used to seal
	seen       window
}

// at sets the nonce: 4 zero bytes, then the number.
func (c *Channel) at(n uint64) []byte {
	binary.BigEndian.PutUint64(c.nonce[4:], n)
	return c.nonce[:]
}

// Seal seals b[data:] in place, with what stands before it as additional data. What it
// gives is [Overhead] longer; it allocates only where b lacks the room. n is NUM or SEQ,
// and must rise from call to call: a number that came twice would give both datagrams
// away. The error is [ErrNumber], and b is as it was.
func (c *Channel) Seal(b []byte, data int, n uint64) ([]byte, error) {
	if n < c.next || n >= MaxNumber {
		return b, ErrNumber
	}
	c.next = n + 1
	return c.seal.Seal(b[:data], c.at(n), b[data:], b[:data]), nil
}

// Open opens b[data:] in place, which needs no room. The error is [ErrForged] or
// [ErrReplayed]; after the first b[data:] is no datagram any more. A number counts as seen only once it
// came with a datagram that opened.
func (c *Channel) Open(b []byte, data int, n uint64) ([]byte, error) {
	switch {
	case n >= MaxNumber:
		return nil, ErrForged // nobody seals it
	case !c.seen.fresh(n):
		return nil, ErrReplayed
	}
	out, err := c.open.Open(b[:data], c.at(n), b[data:], b[:data])
	if err != nil {
		return nil, ErrForged
	}
	c.seen.mark(n)
	return out, nil
}
