package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors.txt anew")

const vectorsFile = "testdata/vectors.txt"

const vectorsHead = `# A sealed transaction (PROTOCOL.md, "Sealed transactions"), with all that is random fixed:
# the key, and the private ephemeral keys of both ends. A line is a name and its bytes, in
# hexadecimal digits or, where they are text, between quotes. What is named after a message
# is that message as a whole datagram, plain and sealed. TID 7. The first segment goes to the
# first receiver (channel 0), which sends the ack, the other two to the second (channel 1).
`

// A vector is a line of the file.
type vector struct {
	name  string
	value []byte
}

// vectors makes the transaction, with the functions of this package.
func vectors(t *testing.T) (all []vector) {
	t.Helper()
	add := func(name string, value []byte) { all = append(all, vector{name, value}) }
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	count := func(from byte) []byte {
		b := make([]byte, 32)
		for i := range b {
			b[i] = from + byte(i)
		}
		return b
	}
	key := Key(count(0))
	add("key", key[:])
	add("client-ephemeral", count(0x20))
	add("server-ephemeral", count(0x40))
	i, err := NewInitiator(key, bytes.NewReader(count(0x20)))
	must(err)
	add("intent", i.Intent(nil))
	r, err := Open(ringOf(t, key), i.Intent(nil))
	must(err)
	const plain = "Type:1;TID:7;DATA:[{'ip_address': '192.0.2.1', 'port': 4650, 'seg': 1200, 'win': 512}, {'ip_address': '192.0.2.2', 'seg': 1200, 'win': 512}];"
	add("offer-plain", []byte(plain))
	offer, server, err := r.Offer(nil, 7, []byte(plain), bytes.NewReader(count(0x40)))
	must(err)
	add("offer", offer)
	a, err := i.Finish(offer)
	must(err)
	client := a.Session
	add("client-to-server", client.to[:])
	add("server-to-client", client.from[:])
	for _, m := range []struct {
		name    string
		from    *Session
		to      *Session
		channel int
		n       uint64
		plain   string
	}{
		{"manifest", client, server, Orchestrator, 0, "Type:4;TID:7;SEQ:0;DATA:{'bytes': 100, 'seg': 1200};"},
		{"state", server, client, Orchestrator, 0, "Type:5;TID:7;SEQ:0;DATA:{'state': 'open', 'have': ''};"},
		{"segment", client, server, 0, 0, "Type:2;TID:7;SEQ:0;NUM:00;DATA:" + strings.Repeat("0123456789", 10)},
		{"ack", server, client, 0, 0, "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;"},
		{"segment-again", client, server, 1, 300, "Type:2;TID:7;SEQ:00;NUM:300;DATA:" + strings.Repeat("0123456789", 10)},
		{"segment-short", client, server, 1, 301, "2;H;A;AEt;" + strings.Repeat("0123456789", 10)},
		{"verdict", client, server, Orchestrator, 1, "Type:4;TID:7;SEQ:1;DATA:{'bytes': 100, 'seg': 1200, 'sha256': '" + fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Repeat("0123456789", 10)))) + "'};"},
		{"complete", server, client, Orchestrator, 1, "Type:5;TID:7;SEQ:1;DATA:{'state': 'complete'};"},
	} {
		data := headerOf([]byte(m.plain))
		add(m.name+"-plain", []byte(m.plain))
		b, err := m.from.Channel(m.channel).Seal([]byte(m.plain), data, m.n)
		must(err)
		add(m.name, bytes.Clone(b))
		b, err = m.to.Channel(m.channel).Open(b, data, m.n)
		must(err)
		if string(b) != m.plain {
			t.Errorf("%s opens as %q", m.name, b)
		}
	}
	return all
}

// headerOf is how many bytes stand before what is sealed of a datagram: up to "DATA:", or up to the
// fourth ";" of a short segment.
func headerOf(b []byte) int {
	if !bytes.HasPrefix(b, []byte("2;")) {
		return bytes.Index(b, []byte("DATA:")) + len("DATA:")
	}
	return len(bytes.Join(bytes.SplitN(b, []byte(";"), 5)[:4], []byte(";"))) + 1
}

// text writes the lines.
func text(all []vector) string {
	s := vectorsHead
	for _, v := range all {
		q := strconv.Quote(string(v.value))
		if strings.ContainsRune(q, '\\') {
			q = hex.EncodeToString(v.value)
		}
		s += v.name + " " + q + "\n"
	}
	return s
}

// TestVectors: what this package writes is what the file has.
func TestVectors(t *testing.T) {
	want := text(vectors(t))
	if *update {
		if err := os.WriteFile(vectorsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what comes out; if that is right, write it anew with -update", vectorsFile)
	}
}

// A stranger is the handshake's symmetric state (The Noise Protocol Framework, revision
// 34, section 5.2), by the text and the standard library alone.
type stranger struct{ ck, h, k []byte }

func (s *stranger) mixHash(b []byte) {
	sum := sha256.Sum256(append(bytes.Clone(s.h), b...))
	s.h = sum[:]
}

// derive is Noise's HKDF (section 4.3): that of RFC 5869 with ck as its salt.
func (s *stranger) derive(t *testing.T, secret []byte, n int) [][]byte {
	out, err := hkdf.Key(sha256.New, secret, s.ck, "", 32*n)
	if err != nil {
		t.Fatal(err)
	}
	parts := make([][]byte, n)
	for i := range parts {
		parts[i] = out[32*i : 32*(i+1)]
	}
	return parts
}

func (s *stranger) mixKey(t *testing.T, secret []byte) {
	p := s.derive(t, secret, 2)
	s.ck, s.k = p[0], p[1]
}

func (s *stranger) mixKeyAndHash(t *testing.T, secret []byte) {
	p := s.derive(t, secret, 3)
	s.ck, s.k = p[0], p[2]
	s.mixHash(p[1])
}

// decrypt opens the payload of a message, the first one with its key.
func (s *stranger) decrypt(t *testing.T, b []byte) []byte {
	t.Helper()
	plain := decrypt(t, s.k, 0, s.h, b)
	s.mixHash(b)
	return plain
}

func decrypt(t *testing.T, key []byte, n uint64, head, b []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], n)
	plain, err := a.Open(nil, nonce[:], b, head)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestStranger opens the file's transaction by PROTOCOL.md alone: with nothing of this
// package, and nothing of its library.
func TestStranger(t *testing.T) {
	file, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	v := map[string][]byte{}
	for line := range strings.Lines(string(file)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "#" {
			continue
		}
		if plain, err := strconv.Unquote(value); err == nil {
			v[name] = []byte(plain)
		} else if v[name], err = hex.DecodeString(value); err != nil {
			t.Fatal(err)
		}
	}
	between := func(b []byte, from, to string) []byte {
		_, rest, _ := strings.Cut(string(b), from)
		in, after, ok := strings.Cut(rest, to)
		if !ok || after != "" {
			t.Fatalf("%q has no %q", b, from)
		}
		raw, err := base64.StdEncoding.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	private := func(name string) *ecdh.PrivateKey {
		k, err := ecdh.X25519().NewPrivateKey(v[name])
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	ours, theirs := private("client-ephemeral"), private("server-ephemeral")
	id := sha256.Sum256(v["key"])
	one := between(v["intent"], "Type:0;DATA:{'key': '"+hex.EncodeToString(id[:4])+"', 'noise': '", "'};")
	two := between(v["offer"], "Type:1;TID:7;DATA:{'noise': '", "'};")
	if len(v["intent"]) != 1197 || len(one) != 864 {
		t.Errorf("an intent of %d bytes, message 1 of %d", len(v["intent"]), len(one))
	}
	// Section 5.2, InitializeSymmetric: the name is at most as long as a hash.
	start := append([]byte("Noise_NNpsk0_25519_AESGCM_SHA256"), make([]byte, 32)...)[:32]
	s := &stranger{ck: start, h: start}
	s.mixHash([]byte("MDALP 1"))
	s.mixKeyAndHash(t, v["key"]) // psk
	e := ours.PublicKey().Bytes()
	s.mixHash(e) // e; section 9.2: with a psk it goes into the key as well
	s.mixKey(t, e)
	if !bytes.Equal(one[:32], e) || !bytes.Equal(s.decrypt(t, one[32:]), make([]byte, 816)) {
		t.Error("message 1 is another")
	}
	e = theirs.PublicKey().Bytes()
	s.mixHash(e)
	s.mixKey(t, e)
	ee, err := ours.ECDH(theirs.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	s.mixKey(t, ee)
	if plain := s.decrypt(t, two[32:]); !bytes.Equal(two[:32], e) || !bytes.Equal(plain, v["offer-plain"]) {
		t.Errorf("message 2 has %q", plain)
	}
	keys := s.derive(t, nil, 2)
	if !bytes.Equal(keys[0], v["client-to-server"]) || !bytes.Equal(keys[1], v["server-to-client"]) {
		t.Error("the transport keys are others")
	}
	for _, m := range []struct {
		name   string
		from   int // 0: the client
		info   string
		number uint64
	}{
		{"manifest", 0, "mdalp channel 65535", 0}, {"state", 1, "mdalp channel 65535", 0},
		{"segment", 0, "mdalp channel 0", 0}, {"ack", 1, "mdalp channel 0", 0}, {"segment-again", 0, "mdalp channel 1", 300},
		{"segment-short", 0, "mdalp channel 1", 301},
		{"verdict", 0, "mdalp channel 65535", 1}, {"complete", 1, "mdalp channel 65535", 1},
	} {
		key, err := hkdf.Key(sha256.New, keys[m.from], nil, m.info, 32)
		if err != nil {
			t.Fatal(err)
		}
		head := v[m.name][:headerOf(v[m.name])]
		if plain := decrypt(t, key, m.number, head, v[m.name][len(head):]); string(head)+string(plain) != string(v[m.name+"-plain"]) {
			t.Errorf("%s has %q", m.name, plain)
		}
	}
}
