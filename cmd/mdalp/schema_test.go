package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mdalp/cmd/internal/shape"
)

// A schema is as much of JSON Schema 2020-12 as the published ones use.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       any                `json:"type"`
	Const      any                `json:"const"`
	Enum       []any              `json:"enum"`
	OneOf      []*schema          `json:"oneOf"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Additional *bool              `json:"additionalProperties"`
	Minimum    *float64           `json:"minimum"`
	Maximum    *float64           `json:"maximum"`
	Defs       map[string]*schema `json:"$defs"`
	// For people.
	Dialect     string `json:"$schema"`
	ID          string `json:"$id"`
	Title       string `json:"title"`
	Description string `json:"description"`
}

// published reads the schema of a command.
func published(t *testing.T, name string) *schema {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "schema", name+".schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // the validator must know all that the schema uses
	var s schema
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// check says what is wrong with v, or "".
func (s *schema) check(top *schema, at string, v any) string {
	if s.Ref != "" {
		return top.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")].check(top, at, v)
	}
	if s.OneOf != nil {
		var faults []string
		for _, o := range s.OneOf {
			if f := o.check(top, at, v); f != "" {
				faults = append(faults, f)
			}
		}
		if len(faults) != len(s.OneOf)-1 {
			return fmt.Sprintf("%s: %d of %d fit: %s", at, len(s.OneOf)-len(faults), len(s.OneOf), strings.Join(faults, "; "))
		}
		return ""
	}
	if s.Const != nil && v != s.Const {
		return fmt.Sprintf("%s: %v is not %v", at, v, s.Const)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		return fmt.Sprintf("%s: %v is none of %v", at, v, s.Enum)
	}
	types, _ := s.Type.([]any)
	if s.Type != nil && types == nil {
		types = []any{s.Type}
	}
	if types != nil && !slices.Contains(types, any(kind(v))) && !(kind(v) == "integer" && slices.Contains(types, any("number"))) {
		return fmt.Sprintf("%s: a %v instead of %v", at, kind(v), types)
	}
	switch v := v.(type) {
	case float64:
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			return fmt.Sprintf("%s: %v is out of range", at, v)
		}
	case []any:
		for i, x := range v {
			if f := s.Items.check(top, fmt.Sprintf("%s[%d]", at, i), x); f != "" {
				return f
			}
		}
	case map[string]any:
		for _, k := range s.Required {
			if _, ok := v[k]; !ok {
				return at + ": no " + k
			}
		}
		for k, x := range v {
			if s.Properties[k] == nil && (s.Additional == nil || *s.Additional) {
				continue // an open object; TestSchemasAreClosed finds it
			}
			if s.Properties[k] == nil {
				return at + ": undocumented key " + k
			}
			if f := s.Properties[k].check(top, at+"."+k, x); f != "" {
				return f
			}
		}
	}
	return ""
}

// kind is JSON Schema's word for v's type.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// fault says what is wrong with the one object in text, or "".
func (s *schema) fault(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err.Error()
	}
	return s.check(s, "$", v)
}

// schemas are the commands that print JSON, and the status page of mdalpd.
var schemas = []string{"bench", "decode", "doctor", "ping", "plan", "send", "status"}

// numbers are those of the schemas of which a key has gone or changed its meaning; the others
// have 1.
var numbers = map[string]string{"doctor": "2"}

// walk calls f for s and all schemas in it.
func (s *schema) walk(at string, f func(at string, s *schema)) {
	f(at, s)
	for i, o := range s.OneOf {
		o.walk(fmt.Sprintf("%s|%d", at, i), f)
	}
	for _, of := range []map[string]*schema{s.Properties, s.Defs} {
		for _, k := range slices.Sorted(maps.Keys(of)) {
			of[k].walk(at+"."+k, f)
		}
	}
	if s.Items != nil {
		s.Items.walk(at+"[]", f)
	}
}

// TestSchemasAreClosed sees that each object of a schema names all its keys, requires
// them, and says what they mean; that each command has one, and the manual links it.
func TestSchemasAreClosed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "schema", "*.json"))
	if err != nil || len(files) != len(schemas) {
		t.Errorf("%d schemas are published for %d commands: %v", len(files), len(schemas), err)
	}
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "scripting.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range schemas {
		top := published(t, name)
		if link := "(schema/" + name + ".schema.json)"; !bytes.Contains(manual, []byte(link)) {
			t.Errorf("docs/scripting.md does not link %s", link)
		}
		number := cmp.Or(numbers[name], "1")
		if top.Title != "mdalp."+name+"/"+number || top.ID != "urn:mdalp:"+name+":"+number || !strings.HasSuffix(top.Dialect, "/2020-12/schema") {
			t.Errorf("%s: title %s, $id %s, $schema %s", name, top.Title, top.ID, top.Dialect)
		}
		top.walk(name, func(at string, s *schema) {
			if s.Ref != "" {
				if top.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")] == nil {
					t.Errorf("%s: there is no %s", at, s.Ref)
				}
				return
			}
			if s.Description == "" && s.Type != "null" {
				t.Errorf("%s: no description", at)
			}
			if s.Type != "object" {
				return
			}
			if want := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(want, slices.Sorted(slices.Values(s.Required))) {
				t.Errorf("%s: %v are required of %v", at, s.Required, want)
			}
			if s.Additional == nil || *s.Additional {
				t.Errorf("%s: it is open", at)
			}
		})
	}
}

// TestSchemaIsStrict sees that the validator can say no.
func TestSchemaIsStrict(t *testing.T) {
	top := published(t, "send")
	good := shape.NewResult(newHead(shape.SendSchema, nil), "f", nil)
	for _, change := range []func(map[string]any){
		func(v map[string]any) { delete(v, "tid") },
		func(v map[string]any) { v["more"] = 1.0 },
		func(v map[string]any) { v["schema"] = "mdalp.send/2" },
		func(v map[string]any) { v["exit_code"] = 6.0 },
		func(v map[string]any) { v["segments"] = 0.5 },
		func(v map[string]any) { v["segments"] = -1.0 },
		func(v map[string]any) { v["receivers"] = []any{map[string]any{}} },
		func(v map[string]any) { v["event"] = "offer" },
		nil,
	} {
		b, err := json.Marshal(good)
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		json.Unmarshal(b, &v)
		if change != nil {
			change(v)
		}
		if f := top.check(top, "$", v); (f == "") != (change == nil) {
			t.Errorf("%v: %q", v, f)
		}
	}
}

// TestSchemasOfOutput runs every command that prints JSON but send, which TestJSON runs,
// on success and on failure. What comes out fits its schema, and each key of it is needed
// there. GOOD and the like stand for the ports of orchestrators, DIR
// for a folder with files in it.
func TestSchemasOfOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	payloadFile(t, dir, "f", 250)
	payloadFile(t, dir, "empty", 0)
	good, silent, deaf := newReceivers(t, 2), newReceivers(t, 1), newReceivers(t, 2)
	silent.say("-")
	deaf.hold(1, 0)
	bad := newReceivers(t, 1)
	bad.say("Type:1;TID:7;DATA:[1];")
	whole, err := os.ReadFile(continents)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cut"), whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	const anyHealth = -1 // 0 or 1, as this host is
	fill := strings.NewReplacer("GOOD", good.port, "SILENT", silent.port, "GONE", noPort, "DEAF", deaf.port, "BAD", bad.port, "DIR", dir)
	for _, c := range []struct {
		args string
		code int
		kind string // of the error, "" for none
	}{
		{"ping --json --count 1 127.0.0.1", 0, ""},
		{"ping --json -a 127.0.0.1 -p GOOD", 0, ""},
		{"ping --json --count 1 127.255.255.255", 1, ""},
		{"ping --json -6 127.0.0.1 ::1", 4, ""},
		{"ping --json", 2, "usage"},
		{"ping --json --count 0 127.0.0.1", 2, "usage"},
		{"ping --json -p 5 127.0.0.1", 2, "usage"},
		{"ping --json -a 127.0.0.1 -p GONE", 3, "no_offer"},
		{"ping --json -a 127.0.0.1 -p BAD", 3, "bad_offer"},
		{"ping --json --bind 192.0.2.77 127.0.0.1", 4, "system"},
		{"plan --json -a 127.0.0.1 -p GOOD -f DIR/f", 0, ""},
		{"plan --json -a 127.0.0.1 -p GOOD --size 5000 --balance equal", 0, ""},
		{"plan --json -a 127.0.0.1 -p GOOD --size 5000 -m 2", 0, ""},
		{"plan --json -a 127.0.0.1 -p GOOD --size 1", 0, ""},
		{"plan --json -a 127.0.0.1 -p GOOD --size 0", 0, ""},
		{"plan --json", 2, "usage"},
		{"plan --json -a 127.0.0.1 -p GOOD --size 5 -f DIR/f", 2, "usage"},
		{"plan --json -a 127.0.0.1 -p GOOD --size 5 -m 2 -s 9", 2, "usage"},
		{"plan --json -a 127.0.0.1 -p GONE --size 5", 3, "no_offer"},
		{"plan --json -a 127.0.0.1 -p BAD --size 5", 3, "bad_offer"},
		{"plan --json -a 127.0.0.1 -p SILENT --size 5 --deadline 20ms", 1, "incomplete"},
		{"plan --json -a 127.0.0.1 -p GOOD -f DIR/missing", 4, "system"},
		{"bench --format json -a 127.0.0.1 -p GOOD -f DIR/f --runs 2 --warmup 0 --balance icmp,adaptive", 0, ""},
		{"bench --format json -a 127.0.0.1 -p DEAF -f DIR/f --runs 1 --warmup 0 --balance equal --max-tries 1", 1, "incomplete"},
		{"bench --format json", 2, "usage"},
		{"bench --format json -a 127.0.0.1 -p GOOD -f DIR/empty", 2, "usage"},
		{"bench --format json -a 127.0.0.1 -p GONE -f DIR/f", 3, "no_offer"},
		{"bench --format json -a 127.0.0.1 -p GOOD -f DIR/missing", 4, "system"},
		{"decode --json " + continents, 0, ""},
		{"decode --json DIR/cut", 4, "system"},
		{"decode --json DIR/missing", 4, "system"},
		{"decode --json DIR", 4, "system"},
		{"decode --json DIR/f", 4, "system"},
		{"doctor --json -a 127.0.0.1", anyHealth, ""},
		{"doctor --json --receivers 0", 2, "usage"},
		{"doctor --json -6 -a 127.0.0.1", 4, "system"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			// Those that come to pinging.
			if strings.HasPrefix(c.args, "ping ") && c.kind == "" {
				needPings(t)
			}
			args := strings.Fields(fill.Replace(c.args))
			out, errs, code := command(t, "", args...)
			if strings.Count(out, "\n") != 1 {
				t.Fatalf("not one line: %q, %s", out, errs)
			}
			top := published(t, args[0])
			if f := top.fault(t, []byte(out)); f != "" {
				t.Fatalf("%s\n%s", f, out)
			}
			var got shape.Head
			json.Unmarshal([]byte(out), &got)
			kind := ""
			if got.Error != nil {
				kind = got.Error.Kind
				if !strings.Contains(errs, got.Error.Message) {
					t.Errorf("%q is not on standard error: %s", got.Error.Message, errs)
				}
			}
			right := code == c.code || c.code == anyHealth && code <= exitFix
			if !right || got.ExitCode != code || kind != c.kind || got.Schema != top.Title {
				t.Errorf("exit code %d, want %d: %s%s", code, c.code, out, errs)
			}
			// A key that the schema lacks is a fault.
			for k := range top.Properties { // order does not show
				less := *top
				less.Properties = maps.Clone(top.Properties)
				delete(less.Properties, k)
				if less.fault(t, []byte(out)) == "" {
					t.Errorf("%s may be left out of the schema", k)
				}
			}
		})
	}
}

// TestSchemasInterrupted ends commands by a signal, while they wait: the object comes all
// the same.
func TestSchemasInterrupted(t *testing.T) {
	t.Parallel()
	silent := newReceivers(t, 1)
	silent.say("-")
	f := payloadFile(t, t.TempDir(), "f", 250)
	to := []string{"-a", "127.0.0.1", "-p", silent.port}
	for _, c := range []struct {
		args []string
		wait string // what it logs before it waits
	}{
		{[]string{"ping", "--json", "-v", "--interval", "1h", "127.0.0.1"}, "msg=pinging"},
		{append([]string{"ping", "--json", "-v"}, to...), "msg=intent"},
		{append([]string{"plan", "--json", "-v", "--size", "5"}, to...), "msg=intent"},
		{append([]string{"bench", "--format", "json", "-v", "-f", f}, to...), "msg=intent"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			if c.wait == "msg=pinging" {
				needPings(t)
			}
			p := exec.Command("mdalp", c.args...)
			var out bytes.Buffer
			p.Stdout = &out
			errs, err := p.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			for lines := bufio.NewScanner(errs); lines.Scan(); {
				if strings.Contains(lines.Text(), c.wait) {
					p.Process.Signal(syscall.SIGTERM)
				}
			}
			p.Wait()
			var got shape.Head
			json.Unmarshal(out.Bytes(), &got)
			if f := published(t, c.args[0]).fault(t, out.Bytes()); f != "" || p.ProcessState.ExitCode() != exitInterrupted ||
				got.ExitCode != exitInterrupted || got.Error == nil || *got.Error != (shape.Failure{Kind: "interrupted", Message: "interrupted (SIGTERM)"}) {
				t.Errorf("%s\n%s", f, &out)
			}
		})
	}
}
