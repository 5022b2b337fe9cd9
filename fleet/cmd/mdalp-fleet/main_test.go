package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mdalp/fleet/internal/engines"
)

// output runs the command, and gives its exit code and what it printed.
func output(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var said [2]string
	outs := []**os.File{&os.Stdout, &os.Stderr}
	done := make(chan struct{}, 2)
	for i, f := range outs {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		old := *f
		*f = w
		go func() {
			b, _ := io.ReadAll(r)
			said[i] = string(b)
			done <- struct{}{}
		}()
		defer func() { *f = old }()
	}
	code = run(args)
	for _, f := range outs {
		(*f).Close()
	}
	<-done
	<-done
	return code, said[0], said[1]
}

// What is wrong with a command line is one line, which names the option.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	const e = "nats://127.0.0.1:1"
	broken := filepath.Join(dir, "broken.pem")
	if err := os.WriteFile(broken, []byte("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "a command is missing"},
		{"serve", 2, `there is no command "serve"`},
		{"orchestrator x", 2, `unexpected argument "x"`},
		{"orchestrator --nosuch", 2, "unknown flag: --nosuch"},
		{"orchestrator --engine " + e, 2, "--dir is missing"},
		{"receiver --dir " + dir + " --listen 127.0.0.1:0", 2, `--listen "127.0.0.1:0"`},
		{"receiver --dir " + dir + " --listen host", 2, `--listen "host"`},
		{"orchestrator --dir " + dir + " --require-key", 2, "--require-key: there is no --key"},
		{"orchestrator --dir " + dir + " --key k", 2, "--fleet-key is missing"},
		{"orchestrator --dir " + dir + " --key k --fleet-key f --base", 2, "and there is --base"},
		{"orchestrator --dir " + dir + " --key /nonexistent --fleet-key f", 4, "--key /nonexistent: no such file"},
		{"receiver --dir " + dir + " --fleet-key /nonexistent", 4, "--fleet-key /nonexistent: no such file"},
		{"receiver --dir " + dir + " --id a.b", 2, `--id "a.b"`},
		{"receiver --id a --dir " + dir + " --name a\ab", 2, `--name "a\ab"`},
		{"orchestrator --dir " + dir + " --zone a\x1bb", 2, `--zone "a\x1bb"`},
		{"receiver --dir " + dir + " --replicas 2", 2, "--replicas 2"},
		{"receiver --dir " + dir + " --ledger-bytes 5", 2, "--ledger-bytes"},
		{"receiver --dir " + dir + " --drain -1s", 2, "--drain -1s"},
		{"receiver --dir " + dir + " --log-format xml", 2, `--log-format "xml"`},
		{"receiver --id a --dir /nonexistent --listen " + local(t) + " --engine " + e, 4, "--dir /nonexistent: no such file"},
		{"receiver --id a --dir " + dir + " --listen 192.0.2.1 --engine " + e, 4, "--listen 192.0.2.1:4650: "},
		{"receiver --id a --dir " + dir + " --listen " + local(t), 2, "--engine is missing"},
		{"receiver --id a --dir " + dir + " --listen 224.0.0.1", 2, `--listen "224.0.0.1": it is one of many hosts`},
		{"orchestrator --dir " + dir + " --listen 255.255.255.255:4650", 2, "it is one of many hosts"},
		{"orchestrator --dir " + dir + " --listen [ff02::1]:4650", 2, "it is one of many hosts"},
		{"status --engine " + e + " --engine-ca " + broken, 4, "--engine-ca " + broken + ": there is no certificate in it"},
		{"status --engine " + e + " --engine-creds " + broken, 4, "there is no \"-----BEGIN NATS USER JWT\" in it"},
		{"status", 2, "--engine is missing"},
		{"receiver --id a --dir " + dir + " --segment 70000", 2, "--segment 70000"},
		{"receiver --id a --dir " + dir + " --segment 99", 2, "--segment 99: 100 to 65000"},
		{"receiver --id a --dir " + dir + " --window 1048577", 2, "--window 1048577: 1048576 "},
		{"receiver --id a --dir " + dir + " --window -1", 2, "--window: it is negative"},
		{"orchestrator --dir " + dir + " --silence -1s", 2, "--silence: it is negative"},
		{"orchestrator --dir " + dir + " --http host:99999", 2, `--http "host:99999"`},
		{"status --engine foo://x", 2, "--engine foo://x: an address is nats://HOST:4222"},
		{"status --engine nats://:4222", 2, "--engine nats://:4222: an address is"},
		{"status --engine " + e + " --engine-creds /nonexistent", 4, "--engine-creds /nonexistent: no such file"},
		{"status --engine " + e + " --engine-creds /dev/null", 4, "--engine-creds /dev/null: there is no \"-----BEGIN NATS USER JWT\" in it"},
		{"status --engine " + e + " --engine-ca /dev/null", 4, "--engine-ca /dev/null: there is no \"-----BEGIN CERTIFICATE\" in it"},
		{"status --engine " + e + " --engine-cert x", 2, "--engine-cert and --engine-key come together"},
		{"status --engine " + e + " --fleet a.b", 2, `--fleet "a.b": `},
		{"status --engine " + e + " --timeout -1s", 2, "--timeout -1s: "},
		{"status --engine nats://u:secret@ --engine-ca /nonexistent", 2, "--engine nats://xxxxx@: an address is"},
	} {
		code, out, errs := output(t, strings.Fields(c.args)...)
		first, rest, _ := strings.Cut(errs, "\n")
		if code != c.code || !strings.HasPrefix(first, "mdalp-fleet: ") || !strings.Contains(first, c.want) || out != "" ||
			(code == 2) != (rest == "Try 'mdalp-fleet --help'.\n") {
			t.Errorf("%s: code %d, %q, %q; want %d, %q", c.args, code, out, errs, c.code, c.want)
		}
	}
}

// Options come from the environment, and a bad value is told by the variable's name.
func TestEnvironment(t *testing.T) {
	t.Setenv("MDALP_FLEET_ENGINE", "nats://127.0.0.1:1")
	t.Setenv("MDALP_FLEET_TIMEOUT", "soon")
	code, _, errs := output(t, "status")
	if code != 2 || !strings.Contains(errs, "MDALP_FLEET_TIMEOUT") {
		t.Errorf("%d, %q", code, errs)
	}
}

// status tells of an engine that is not there, and of a fleet with nobody in it, and ends with 1.
func TestStatus(t *testing.T) {
	code, out, errs := output(t, "status", "--engine", "nats://127.0.0.1:1", "--timeout", "300ms")
	if code != 1 || !strings.Contains(out, "problem: ") || errs != "" {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
	c := engines.Start(t, 1, engines.Options{})
	c.Ready(t)
	// It looks, and makes nothing.
	code, out, _ = output(t, "status", "--json", "--engine", c.URL(), "--timeout", patience.String())
	if code != 1 || !strings.Contains(out, `"problems": [`) || !strings.Contains(out, "stream not found") {
		t.Errorf("%d, %q", code, out)
	}
}
