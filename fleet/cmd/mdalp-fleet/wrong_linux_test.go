package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/nats"
	"mdalp/fleet/internal/engines"
	"mdalp/internal/own"
	"mdalp/seal"
)

// ended waits until a part has ended with 4, its last line being of what is wrong, and nothing else
// of errors.
func (p *process) ended(want string) {
	p.t.Helper()
	code := p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	last := ""
	if len(p.said) > 0 {
		last = p.said[len(p.said)-1]
	}
	if all := strings.Join(p.said, "\n"); code != exitSystem || !regexp.MustCompile("^mdalp-fleet: "+want+"$").MatchString(last) ||
		strings.Contains(all, "goroutine ") || strings.Count(all, "mdalp-fleet: ") != 1 {
		p.t.Errorf("it ends with %d, not with %q: %s", code, want, all)
	}
}

// What another program has, and what is no directory, is told before the engine is waited for.
func TestTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	spoiled := t.TempDir()
	if err := os.Mkdir(filepath.Join(spoiled, ".fleet"), 0o700); err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for _, role := range []string{"orchestrator", "receiver"} {
		for _, c := range []struct{ listen, http, dir, want string }{
			{udp.LocalAddr().String(), "", dir, "--listen 127.0.0.1:.*: another program has the port, choose another one"},
			{local(t), tcp.Addr().String(), dir, "--http 127.0.0.1:.*: another program has the port, choose another one"},
			{local(t), "192.0.2.1:80", dir, "--http 192.0.2.1:80: .*: this host has no such address"},
			{local(t), "", file, "--dir .*/file: not a directory"},
			{local(t), "", spoiled, "--dir .*: .fleet: not a regular file"},
		} {
			args := []string{role, "--engine", "nats://127.0.0.1:1", "--listen", c.listen, "--dir", c.dir}
			if c.http != "" {
				args = append(args, "--http", c.http)
			}
			launch(t, nil, args...).ended(c.want)
		}
	}
}

// Where the engine cannot be had, a line says why; when it can, the part goes on by itself.
func TestEngineWrong(t *testing.T) {
	t.Parallel()
	open := engines.Start(t, 1, engines.Options{})
	plain := "authorization { users [ { user: a, password: new } ] }\n"
	shut := engines.Start(t, 1, engines.Options{Extra: func(string) string { return plain }})
	bare, err := own.Net() // nobody listens there
	if err != nil {
		t.Fatal(err)
	}
	at := shut.Servers[0].At()
	for i, c := range []struct{ url, replicas, want string }{
		{"nats://" + bare + "1:1", "1", "none of its servers can be reached .*: connection refused"},
		{"nats://" + at, "1", "none of its servers can be reached .*Authorization Violation"},
		{open.URL(), "3", "it takes 3 servers in one cluster \\(--replicas\\)"},
	} {
		p := launch(t, nil, "receiver", "--engine", c.url, "--replicas", c.replicas, "--dir", t.TempDir(), "--fleet", fmt.Sprint("f", i),
			"--id", "a", "--listen", local(t))
		p.hears(`level=WARN msg="the engine is not ready; .*` + c.want)
		p.cmd.Process.Signal(syscall.SIGTERM)
		if code := p.end(); code != 0 {
			t.Errorf("%s: it ends with %d: %q", c.url, code, p.said)
		}
	}
	// Nobody lets it in, many times, and then somebody does.
	conf := filepath.Join(shut.Servers[0].Dir, "nats.conf")
	b, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, nil, "receiver", "--engine", "nats://a:newer@"+at, "--replicas", "1", "--dir", t.TempDir(), "--id", "a",
		"--listen", local(t))
	p.hears("Authorization Violation")
	<-time.After(2 * time.Second) // several tries more
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(string(b), "password: new", "password: newer")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(shut.Servers[0].Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.hears("msg=receiver id=a ")
}

// A certificate and a key that do not belong together are told by the names of both options.
func TestUnpaired(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1)}
		der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		b := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	code, _, errs := output(t, "status", "--engine", "tls://127.0.0.1:1", "--engine-cert", a, "--engine-key", b)
	if want := fmt.Sprintf("mdalp-fleet: --engine-cert %s, --engine-key %s: tls: ", a, b); code != exitSystem || !strings.HasPrefix(errs, want) {
		t.Errorf("%d, %s", code, errs)
	}
}

// Who is given another folder than the fleet's is refused, and leaves nothing in it.
func TestFolderWrong(t *testing.T) {
	t.Parallel()
	e := engines.Start(t, 1, engines.Options{})
	common := []string{"--engine", e.URL(), "--replicas", "1", "--listen", local(t)}
	first := launch(t, nil, append([]string{"orchestrator", "--dir", t.TempDir()}, common...)...)
	first.hears("msg=orchestrator ")
	other := t.TempDir()
	common[len(common)-1] = local(t)
	launch(t, nil, append([]string{"orchestrator", "--dir", other}, common...)...).ended(
		"--dir .*: it is not the directory that the fleet has: .*; mount the fleet's directory there")
	if left, err := os.ReadDir(other); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// Two receivers with one ID have the same journals. The second is refused while the first lives.
// One that was killed and is started again is not; elsewhere it waits until the registry has the
// first one no more. Of two that did not know of each other one ends.
func TestTwice(t *testing.T) {
	t.Parallel()
	e := engines.Start(t, 1, engines.Options{})
	dir, here, there := t.TempDir(), local(t), local(t)
	start := func(at string) *process {
		return launch(t, nil, "receiver", "--engine", e.URL(), "--replicas", "1", "--dir", dir, "--id", "a",
			"--listen", at)
	}
	const refused = "--id a: the receiver at .* has it, too; give each an ID of its own"
	first := start(here)
	first.hears("msg=receiver id=a ")
	look, err := nats.Dial(nats.Options{URL: e.URL(), Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	registered := func(at string) {
		t.Helper()
		for late := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
			all, err := look.Living(t.Context())
			if err == nil && len(all) == 1 && all[0].Start != "" && all[0].Addr.String() == at {
				return
			}
			if time.Now().After(late) {
				t.Fatalf("who is at %s does not say so: %+v, %v", at, all, err)
			}
		}
	}
	registered(here)
	second := start(there)
	second.hears(`another receiver had this ID a moment ago; .* at=` + here)
	second.ended(refused)
	first.cmd.Process.Kill()
	first.end()
	var moved *process
	for late := time.Now().Add(patience); ; {
		again := start(here)
		again.hears("msg=receiver id=a ")
		registered(here)
		again.cmd.Process.Kill()
		again.end()
		moved = start(there)
		moved.hears("msg=receiver id=a ")
		if moved.has("another receiver had this ID") != nil {
			break
		}
		// On a busy machine its time may be over before the next one looks.
		if time.Now().After(late) {
			t.Fatal("who comes elsewhere waits for nobody")
		}
		moved.cmd.Process.Kill()
		moved.end()
	}
	rival := &engine.Party{Role: engine.Receiver, ID: "a", Addr: netip.MustParseAddrPort(local(t)), Start: "zzz"}
	var said time.Time
	for late := time.After(patience); ; <-time.After(200 * time.Millisecond) {
		at := time.Now()
		if err := look.Say(t.Context(), rival); err == nil {
			said = at
		} else if !errors.Is(err, engine.ErrAway) {
			t.Fatal(err)
		}
		select {
		case <-moved.done:
			moved.ended(refused)
			// Who ends may have said that he is there behind the other one, and must not have left.
			all, err := look.Living(t.Context())
			if err == nil && len(all) != 1 && time.Since(said) < engine.Lives {
				t.Errorf("the other one is gone: %+v", all)
			}
			return
		case <-late:
			t.Fatal("it goes on beside another")
		default:
		}
	}
}

// A receiver that an orchestrator never offers, as it has not the fleet's key, is told of.
func TestStranger(t *testing.T) {
	t.Parallel()
	e := engines.Start(t, 1, engines.Options{})
	dir := t.TempDir()
	var keys []string
	for _, name := range []string{"client.key", "fleet.key"} {
		k, err := seal.NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, seal.FormatKey(k, ""), 0o600); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, path)
	}
	common := []string{"--engine", e.URL(), "--replicas", "1", "--dir", dir}
	at := func(port int) string { return fmt.Sprintf("%s:%d", e.Servers[0].Addr, port) }
	launch(t, nil, append([]string{"receiver", "--id", "a", "--listen", at(4650)}, common...)...)
	o := launch(t, nil, append([]string{"orchestrator", "--listen", at(4651), "--key", keys[0], "--fleet-key", keys[1]}, common...)...)
	o.hears(`level=ERROR msg="a receiver is not offered: .*" receiver=a addr=` + at(4650))
	o.hears(`level=ERROR msg="no receiver can be offered, intents wait" receivers=1 draining=0 without_room=0 without_our_key_or_directory=1`)
	launch(t, nil, append([]string{"receiver", "--id", "b", "--listen", at(4652), "--fleet-key", keys[1]}, common...)...)
	o.hears(`msg="receivers can be offered again"`)
}
