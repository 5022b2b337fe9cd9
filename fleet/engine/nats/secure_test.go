package nats

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// An authority makes certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes NAME.pem and NAME.key; the first is the authority's own.
func (a *authority) issue(name string, c *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	c.SerialNumber, c.Subject = big.NewInt(a.next), pkix.Name{CommonName: name}
	c.NotBefore = time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	if a.cert == nil {
		a.cert, a.key = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{a.file(name + ".pem"): {Type: "CERTIFICATE", Bytes: der},
		a.file(name + ".key"): {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// Servers that want certificates, and passwords, are spoken to by those who have them, and by
// nobody else; and a server that is not of the authority is not believed.
func TestSecure(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	a.issue("client", &x509.Certificate{ExtKeyUsage: usage})
	other.issue("client", &x509.Certificate{ExtKeyUsage: usage})
	c := engines.Start(t, 1, engines.Options{Extra: func(addr string) string {
		a.issue(addr, &x509.Certificate{ExtKeyUsage: usage, IPAddresses: []net.IP{net.ParseIP(addr)}})
		return fmt.Sprintf("tls {\n cert_file: %q\n key_file: %q\n ca_file: %q\n verify: true\n}\n"+
			"authorization {\n user: fleet\n password: secret\n}\n",
			a.file(addr+".pem"), a.file(addr+".key"), a.file("ca.pem"))
	}})
	at := c.Servers[0].At()
	try := func(o Options, patience time.Duration) error {
		o.Replicas = 1
		e, err := Dial(o)
		if err != nil {
			return err
		}
		defer e.Close()
		_, err = e.Create(short(t, patience), record())
		return err
	}
	good := Options{URL: "tls://fleet:secret@" + at, CA: a.file("ca.pem"), Cert: a.file("client.pem"),
		Key: a.file("client.key")}
	if err := try(good, patience); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"no certificate":        func(o *Options) { o.Cert, o.Key = "", "" },
		"another's certificate": func(o *Options) { o.Cert, o.Key = other.file("client.pem"), other.file("client.key") },
		"another authority":     func(o *Options) { o.CA = other.file("ca.pem") },
		"no password":           func(o *Options) { o.URL = "tls://" + at },
		"no TLS":                func(o *Options) { *o = Options{URL: "nats://fleet:secret@" + at} },
	} {
		bad := good
		change(&bad)
		err := try(bad, time.Second)
		if !errors.Is(err, engine.ErrAway) {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v", name, err)
	}
	bare := good
	bare.Cert, bare.Key = "", ""
	for late := time.After(patience); ; {
		err := try(bare, time.Second)
		if err != nil && strings.Contains(err.Error(), "it may want a certificate (--engine-cert") {
			break
		}
		select {
		case <-late:
			t.Fatalf("it is not told that a certificate is missing: %v", err)
		default:
		}
	}
}

// A certificate that has expired is told in one line, though each try tells another time of day.
func TestExpired(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	c := engines.Start(t, 1, engines.Options{Extra: func(addr string) string {
		a.issue(addr, &x509.Certificate{IPAddresses: []net.IP{net.ParseIP(addr)}, NotAfter: time.Now().Add(-time.Minute),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		return fmt.Sprintf("tls {\n cert_file: %q\n key_file: %q\n}\n", a.file(addr+".pem"), a.file(addr+".key"))
	}})
	var said lines
	e, err := Dial(Options{URL: "tls://" + c.Servers[0].At(), Replicas: 1, CA: a.file("ca.pem"),
		Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	seen := make(map[string]bool)
	for ctx := short(t, patience); len(seen) < 3; pass(pause) {
		if why := e.noted(&e.why); why != nil && strings.Contains(why.Error(), "certificate has expired") {
			seen[why.Error()] = true
		}
		if ctx.Err() != nil {
			t.Fatalf("it is told in %d ways, last %v: %q", len(seen), e.noted(&e.why), said.all())
		}
	}
	if n := strings.Count(said.all(), "certificate has expired"); n != 1 {
		t.Errorf("%d lines say so: %s", n, said.all())
	}
}

// lines is what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
