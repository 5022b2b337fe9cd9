package nats

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// An issuer signs for those below it: an operator for accounts, an account for users.
type issuer struct {
	t    *testing.T
	pair nkeys.KeyPair
	id   string
}

func newIssuer(t *testing.T, pair nkeys.KeyPair, err error) *issuer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	id, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{t, pair, id}
}

func (i *issuer) sign(c jwt.Claims) string {
	i.t.Helper()
	token, err := c.Encode(i.pair)
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

// creds writes the credentials of a new user of an account, as `nsc` gives them out.
func (i *issuer) creds(name string, change func(*jwt.UserClaims)) (path string) {
	i.t.Helper()
	pair, err := nkeys.CreateUser()
	u := newIssuer(i.t, pair, err)
	c := jwt.NewUserClaims(u.id)
	c.Name = name
	change(c)
	seed, err := u.pair.Seed()
	if err != nil {
		i.t.Fatal(err)
	}
	b, err := jwt.FormatUserConfig(i.sign(c), seed)
	if err != nil {
		i.t.Fatal(err)
	}
	path = filepath.Join(i.t.TempDir(), name+".creds")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

// account makes one under an operator, with room in JetStream for so many bytes.
func (i *issuer) account(name string, room int64) (a *issuer, token string) {
	i.t.Helper()
	pair, err := nkeys.CreateAccount()
	a = newIssuer(i.t, pair, err)
	c := jwt.NewAccountClaims(a.id)
	c.Name = name
	if room > 0 {
		c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: 16 << 20, DiskStorage: room}
	}
	return a, i.sign(c)
}

// A server in operator mode is spoken to with credentials of the fleet's account, and with no
// others; users of another account there see nothing of the fleet.
func TestCreds(t *testing.T) {
	t.Parallel()
	pair, err := nkeys.CreateOperator()
	operator := newIssuer(t, pair, err)
	own, ownToken := operator.account("fleet", 1<<30)
	neighbour, neighbourToken := operator.account("neighbour", 1<<30)
	system, systemToken := operator.account("SYS", 0)
	foreign, _ := operator.account("unknown to the server", 0)
	claims := jwt.NewOperatorClaims(operator.id)
	claims.Name, claims.SystemAccount = "operator", system.id
	token := operator.sign(claims)
	c := engines.Start(t, 1, engines.Options{Extra: func(string) string {
		return fmt.Sprintf("operator: %q\nresolver: MEMORY\nresolver_preload {\n %s: %q\n %s: %q\n %s: %q\n}\n",
			token, own.id, ownToken, neighbour.id, neighbourToken, system.id, systemToken)
	}})
	url := "nats://" + c.Servers[0].At()
	any := func(*jwt.UserClaims) {}
	dial := func(creds string) (*Engine, error) {
		return Dial(Options{URL: url, Creds: creds, Replicas: 1, LedgerBytes: 16 << 20, SettledBytes: 16 << 20})
	}
	good, err := dial(own.creds("part", any))
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	rec := record()
	if _, err := good.Create(short(t, patience), rec); err != nil {
		t.Fatal(err)
	}
	// Another user of the account is another part of the fleet.
	part, err := dial(own.creds("another", any))
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	if got, _, err := part.Get(short(t, patience), rec.TID); err != nil || got.TID != rec.TID {
		t.Errorf("another part: %+v, %v", got, err)
	}
	// The neighbour's engine is its own.
	next, err := dial(neighbour.creds("neighbour", any))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if _, err := next.Create(short(t, patience), rec); err != nil {
		t.Errorf("the neighbour has that record too: %v", err)
	}
	for name, creds := range map[string]string{
		"no credentials":    "",
		"a foreign account": foreign.creds("stranger", any),
		"expired":           own.creds("late", func(c *jwt.UserClaims) { c.Expires = time.Now().Add(-time.Hour).Unix() }),
		"denied": own.creds("denied", func(c *jwt.UserClaims) {
			c.Permissions.Pub.Deny.Add(">")
		}),
	} {
		e, err := dial(creds)
		if err == nil {
			_, err = e.Create(short(t, time.Second), record())
			e.Close()
		}
		if !errors.Is(err, engine.ErrAway) {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v", name, err)
	}
	if _, err := dial(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("credentials that are not there are no error")
	}
}
