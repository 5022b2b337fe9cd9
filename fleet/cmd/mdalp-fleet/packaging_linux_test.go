package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"mdalp/fleet/internal/engines"
	"mdalp/internal/need"
	"mdalp/seal"
)

const packaging = "../../packaging"

// text is a file of the packages.
func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(packaging, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// begins has a command line and variables begin, as they are, until the directory is looked for,
// which is none here: options, values and addresses are in order then.
func begins(t *testing.T, what string, env map[string]string, args ...string) {
	t.Helper()
	for k, v := range env {
		t.Setenv(k, v)
	}
	t.Setenv("MDALP_FLEET_DIR", "/nonexistent")
	code, _, errs := output(t, args...)
	if code != exitSystem || errs != "mdalp-fleet: --dir /nonexistent: no such file or directory\n" {
		t.Errorf("%s: %v with %v ends with %d: %s", what, args, env, code, errs)
	}
	for k := range env {
		os.Unsetenv(k) // Setenv has it put back
	}
}

// A service is one of a compose file.
type service struct {
	Image, StopGracePeriod string
	Command                []string
	Environment            map[string]string
	Networks               map[string]struct {
		Address string `json:"ipv4_address"`
	}
	Volumes   []struct{ Type, Source, Target string }
	DependsOn map[string]any `json:"depends_on"`
}

// composed is the compose file, as the specification's own reader has it.
func composed(t *testing.T) (services map[string]service) {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(packaging, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("go", "run", "./compose", file)
	c.Dir = "../../enginetest"
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	var p struct{ Services map[string]service }
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return p.Services
}

// The compose file is one, its command lines and variables are those of the program, and all
// that has to agree in it does.
func TestCompose(t *testing.T) {
	roles := make(map[string]int)
	seen := make(map[string]string) // addresses and IDs
	var engines, parts []string
	once := func(name, what string) {
		if other := seen[what]; other != "" || what == "" {
			t.Errorf("%s and %s both have %q", other, name, what)
		}
		seen[what] = name
	}
	all := composed(t)
	for name, s := range all {
		addr := s.Networks["fleet"].Address
		once(name, addr)
		if strings.HasPrefix(s.Image, "docker.io/library/nats:") {
			roles["engine"]++
			engines = append(engines, name)
			if s.Environment["NAME"] != name {
				t.Errorf("%s calls itself %q", name, s.Environment["NAME"])
			}
			continue
		}
		parts = append(parts, name)
		roles[s.Command[0]]++
		if s.Environment["MDALP_FLEET_LISTEN"] != addr+":4650" {
			t.Errorf("%s listens on %s, and is %s", name, s.Environment["MDALP_FLEET_LISTEN"], addr)
		}
		if v := s.Volumes[0]; v.Source != "payloads" || v.Target != s.Environment["MDALP_FLEET_DIR"] {
			t.Errorf("%s has %+v, and takes %s for it", name, v, s.Environment["MDALP_FLEET_DIR"])
		}
		for i, a := range s.Command {
			if a == "--id" {
				once(name, s.Command[i+1])
			}
		}
		// No such address is here.
		s.Environment["MDALP_FLEET_LISTEN"] = local(t)
		begins(t, name, s.Environment, s.Command...)
	}
	if roles["engine"] != 3 || roles["orchestrator"] != 2 || roles["receiver"] != 4 || len(roles) != 3 {
		t.Errorf("there are %v", roles)
	}
	for _, p := range parts {
		for _, e := range engines {
			if !strings.Contains(all[p].Environment["MDALP_FLEET_ENGINE"], "nats://"+e+":4222") {
				t.Errorf("%s does not know %s", p, e)
			}
			if _, ok := all[p].DependsOn[e]; !ok {
				t.Errorf("%s is not started behind %s", p, e)
			}
		}
	}
	image := "localhost/mdalp-fleet"
	if build := " -t " + image + " .\n"; all[parts[0]].Image != image || !strings.Contains(text(t, "compose.yaml"), build) {
		t.Errorf("what is built is not what runs: %q", all[parts[0]].Image)
	}
}

// The configuration is one of a server, which names the same variables and ports.
func TestNatsConf(t *testing.T) {
	c := exec.Command(engines.Program(t), "-t", "-c", filepath.Join(packaging, "nats.conf"))
	c.Env = append(os.Environ(), "NAME=engine1")
	if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("is valid")) {
		t.Errorf("%v: %s", err, out)
	}
	// It would say so.
	bad := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(bad, []byte(text(t, "nats.conf")+"nosuch: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = exec.Command(engines.Program(t), "-t", "-c", bad)
	c.Env = append(os.Environ(), "NAME=engine1")
	if out, err := c.CombinedOutput(); err == nil {
		t.Errorf("an unknown field is taken: %s", out)
	}
}

// Each variable of the file for services, those that are commented out too, is one that both
// parts take.
func TestDefault(t *testing.T) {
	env := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^#?(MDALP_[A-Z_]+)=(.*)$`).FindAllStringSubmatch(text(t, "mdalp-fleet.default"), -1) {
		env[m[1]] = m[2]
	}
	if len(env) < 5 {
		t.Errorf("only %v", env)
	}
	known := make(map[string]bool)
	for _, c := range newCommand().Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[variable(f)] = true })
	}
	for name := range env {
		if !known[name] {
			t.Errorf("no command takes %s", name)
		}
	}
	// Keys are read before anything else; here they are others.
	for i, name := range []string{"MDALP_FLEET_KEY", "MDALP_FLEET_FLEET_KEY"} {
		if env[name] == "" {
			t.Errorf("there is no %s", name)
		}
		env[name] = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(env[name], seal.FormatKey(seal.Key{byte(i), 1}, ""), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, role := range []string{"orchestrator", "receiver"} {
		begins(t, role, env, role, "--listen", local(t))
	}
}

// mostExposed is how open the service may be by the scale of systemd-analyze, in tenths of its
// ten points.
const mostExposed = "25"

// systemd reads the unit, says every setting that it does not know, and rates how much the
// service may do. None is started.
func TestUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		need.Skip(t, err)
	}
	unit := text(t, "mdalp-fleet@.service")
	analyze := func(more string, args ...string) (string, error) {
		// Where mdalp-fleet is not installed, any program stands for it.
		text := strings.Replace(unit, "ExecStart=/usr/bin/mdalp-fleet %i", "ExecStart=/bin/true %i", 1)
		text = strings.Replace(text, "[Service]\n", "[Service]\n"+more, 1)
		file := filepath.Join(t.TempDir(), "mdalp-fleet@receiver.service")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		c := exec.Command("systemd-analyze", append(args, file)...)
		c.Env = append(os.Environ(), "SYSTEMD_LOG_TARGET=console", "LC_ALL=C")
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := analyze("", "verify", "--man=no"); err != nil || strings.Contains(out, "mdalp-fleet") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, err := analyze("", "security", "--offline=true", "--threshold="+mostExposed); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
	// It would say so.
	out, _ := analyze("WatchDogSecs=30s\n", "verify", "--man=no")
	if !strings.Contains(out, "WatchDogSecs") {
		t.Errorf("nothing is said of WatchDogSecs:\n%s", out)
	}
	// What it runs is a command of the program, and its directory the one of the file beside it.
	for _, role := range []string{"orchestrator", "receiver"} {
		if !strings.Contains(strings.SplitN(unit, "\n", 2)[0], "mdalp-fleet@"+role) {
			t.Errorf("the unit does not name %s", role)
		}
	}
	if dir := regexp.MustCompile(`(?m)^MDALP_FLEET_DIR=(.*)$`).FindStringSubmatch(text(t, "mdalp-fleet.default"))[1]; !strings.Contains(unit, "\nReadWritePaths="+dir+"\n") {
		t.Errorf("the service may not write in %s", dir)
	}
}
