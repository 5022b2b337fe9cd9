package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// cookieFor is how long a cookie is good at least; at most it is twice as long.
const cookieFor = time.Minute

// mostChallenges is how many answers may wait for a cookie to be among them: those that a
// flood draws leave the others room.
const mostChallenges = mostStates / 2

// cookies makes and checks what only somebody can send who is where he says: who reads what is
// sent there. A server keeps nothing of them. A cookie is a MAC over the client's address and the
// minute, so it is worth nothing elsewhere, nor for long.
type cookies struct{ mac hash.Hash }

func newCookies(seed [32]byte) cookies {
	// TIDs come from the seed too: the one must tell nothing of the other.
	key := hmac.New(sha256.New, seed[:])
	key.Write([]byte("mdalp cookie"))
	return cookies{hmac.New(sha256.New, key.Sum(nil))}
}

// append appends that of an address, as it was a number of minutes ago.
func (c *cookies) append(b []byte, now time.Time, peer netip.AddrPort, ago int64) []byte {
	var text [8 + 16 + 2]byte
	binary.BigEndian.PutUint64(text[:], uint64(now.Unix()/int64(cookieFor/time.Second)-ago))
	ip := peer.Addr().As16()
	copy(text[8:], ip[:])
	binary.BigEndian.PutUint16(text[24:], peer.Port())
	c.mac.Reset()
	c.mac.Write(text[:])
	var sum [sha256.Size]byte
	return hex.AppendEncode(b, c.mac.Sum(sum[:0])[:wire.CookieDigits/2])
}

// good reports whether a cookie is one that was given to an address.
func (c *cookies) good(now time.Time, peer netip.AddrPort, cookie string) bool {
	for ago := range int64(2) {
		var b [wire.CookieDigits]byte
		if hmac.Equal(c.append(b[:0], now, peer, ago), []byte(cookie)) {
			return true
		}
	}
	return false
}

// shows looks for a cookie in an intent: shown says that there is a good one, and asks that there is another,
// by which a client of ours asks for a good one.
func (s *Orchestrator) shows(now time.Time, e *loop.Envelope, m *wire.Message) (shown, asks bool) {
	if m.Data == nil {
		return false, false
	}
	cookie, ok := wire.ParseCookie(m.Data)
	if !ok {
		return false, false
	}
	shown = s.cookies.good(now, e.Peer, cookie)
	return shown, !shown
}

// challenge has a cookie sent in place of an offer. Nothing is kept of it, and it has at most 2 bytes
// more than the intent.
func (s *Orchestrator) challenge(e *loop.Envelope) {
	s.stats.Challenged++
	if s.replies.len() >= mostChallenges {
		return // it asks again
	}
	r := reply{cookie: true}
	r.path.from(e)
	s.replies.push(r)
}
