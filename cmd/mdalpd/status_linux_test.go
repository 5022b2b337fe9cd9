package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"mdalp/cmd/internal/status"
)

// request asks a page for something.
func (x *watched) request(
	t *testing.T,
	c *http.Client,
	method, path, host string,
) (code int, body []byte, header http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+x.http+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if body, err = io.ReadAll(a.Body); err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, body, a.Header
}

// get asks for a path, which must be there.
func (x *watched) get(t *testing.T, path string) []byte {
	t.Helper()
	code, body, _ := x.request(t, http.DefaultClient, http.MethodGet, path, "")
	if code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, code, body)
	}
	return body
}

// status is what the JSON says.
func (x *watched) status(t *testing.T, query string) *status.View {
	t.Helper()
	v := new(status.View)
	if err := json.Unmarshal(x.get(t, "/v1/status"+query), v); err != nil {
		t.Fatal(err)
	}
	return v
}

// fits holds JSON against the published schema.
func fits(t *testing.T, body []byte) {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", "schema", "status.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, body)
	}
}

// TestStatus has real clients send, and looks at what is told of them: in JSON as its schema
// has it, on the page, in metrics.
func TestStatus(t *testing.T) {
	x := watch(t)
	fits(t, x.get(t, "/v1/status"))
	file := filepath.Join(t.TempDir(), "report.tar")
	if err := os.WriteFile(file, x.payload, 0o600); err != nil {
		t.Fatal(err)
	}
	addr, port, _ := net.SplitHostPort(x.intents)
	for _, more := range [][]string{{"-q"}, {"-q", "--base"}, {"-q", "--base", "-m", "2", "-s", "3"}} {
		c := exec.Command("mdalp", append([]string{"-a", addr, "-p", port, "-f", file}, more...)...)
		c.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir())
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	x.announce(t, evil)
	c, tid := x.begin(t)
	defer c.Close()
	x.send(t, c, tid, 2, 0)
	x.send(t, c, tid, 2, 0)
	x.settled(t, 3)

	body := x.get(t, "/v1/status?verdicts=2")
	fits(t, body)
	var v status.View
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	if n := v.Verdicts.Outcomes; n["complete"] != 2 || n["unbalanced"] != 1 || v.Verdicts.Kept != 3 ||
		len(v.Verdicts.Shown) != 2 {
		t.Errorf("verdicts: %+v", v.Verdicts)
	}
	if last := v.Verdicts.Shown[0]; last.Status ||
		last.Comment != "Transaction failed! Complete data but load balancing violation!" ||
		last.IP != "127.0.0.1" ||
		last.Bytes != 300 ||
		last.Outcome != "unbalanced" {
		t.Errorf("the last verdict: %+v", last)
	}
	if len(v.Open.Shown) != 2 || v.Open.Transactions != 2 || v.Open.Placed != 2 || v.Open.Places != 100 {
		t.Fatalf("open: %+v", v.Open)
	}
	ext, base := v.Open.Shown[0], v.Open.Shown[1]
	if ext.Name == nil || *ext.Name != evil || ext.Protocol != "extended" || ext.Bytes != 200 ||
		*ext.Size != 300 ||
		ext.Lost == nil ||
		*ext.Lost != 1 {
		t.Errorf("the extended one: %+v", ext)
	}
	if base.Name != nil || base.Protocol != "base" || base.Bytes != 100 || base.Size != nil ||
		base.Lost != nil ||
		base.Repeated != 1 ||
		base.Receivers[2].Share != 1 ||
		!strings.HasSuffix(fmt.Sprint(tid), base.TID) ||
		len(base.TID) > 4 {
		t.Errorf("the base one: %+v", base)
	}
	// How the client splits depends on its pings.
	all := int64(0)
	for _, r := range v.Receivers {
		all += r.Bytes
	}
	if r := v.Receivers[2]; len(v.Receivers) != 3 || all != 1200 || r.Bytes < 400 || r.Repeated != 1 ||
		r.Name != "Receiver 3" ||
		r.Drops == nil {
		t.Errorf("receivers: %+v", v.Receivers)
	}
	if v.Store == nil || v.Store.Held < 900 || v.Store.Room == nil || *v.Store.Room <= 0 ||
		v.Counters.Bytes != 1200 {
		t.Errorf("store: %+v, counters %+v", v.Store, v.Counters)
	}
	page := string(x.get(t, "/"))
	for _, want := range []string{"&lt;img src=x", "<noscript><meta http-equiv=\"refresh\"", "load balancing violation!", "Sydney"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(page, "<img") || strings.Contains(page, fmt.Sprint(tid)) {
		t.Error("the page has what a stranger wrote, or the number of an open transaction")
	}
	x.metrics(t, v.Receivers[2].Bytes, tid, v.Verdicts.Shown[0].TID)
}

// metrics checks what Prometheus is told, by names and by values.
func (x *watched) metrics(t *testing.T, third int64, tids ...int64) {
	t.Helper()
	text := x.get(t, "/metrics")
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, want := range []string{
		`mdalpd_transactions_total{status="complete"} 2`, `mdalpd_transactions_total{status="unbalanced"} 1`,
		`mdalpd_open_transactions 2`, `mdalpd_bytes_total 1200`, `mdalpd_segments_total{result="repeated"} 1`,
		`mdalpd_settle_seconds_count 3`, `mdalpd_settle_seconds_bucket{le="+Inf"} 3`,
		fmt.Sprintf(`mdalpd_receiver_bytes_total{receiver="%v"} %d`, x.rcv[2], third),
		fmt.Sprintf(`mdalpd_rcvbuf_drops_total{socket="%v"} 0`, x.rcv[1]),
	} {
		if !bytes.Contains(text, []byte("\n"+want+"\n")) {
			t.Errorf("no %s", want)
		}
	}
	for _, tid := range tids {
		if bytes.Contains(text, []byte(fmt.Sprint(tid))) {
			t.Error("the number of a transaction is a label")
		}
	}
}

// TestStatusGuard is who is answered, and how.
func TestStatusGuard(t *testing.T) {
	x := watch(t, "--http-host", "status.example,other.example", "--http-pprof")
	_, port, _ := net.SplitHostPort(x.http)
	for _, c := range []struct {
		method, path, host string
		code               int
		says               string
	}{
		{"GET", "/", "", 200, "<!doctype html>"},
		{"HEAD", "/", "", 200, ""},
		{"GET", "/", "localhost:" + port, 200, ""},
		{"GET", "/", "LOCALHOST.", 200, ""},
		{"GET", "/", "127.0.0.1", 200, ""},
		{"GET", "/", "[::1]:" + port, 200, ""},
		{"GET", "/", "status.example", 200, ""},
		{"GET", "/", "Other.Example:1", 200, ""},
		{"GET", "/", "evil.example", 421, "\"evil.example\" is no name of this server: give it with --http-host\n"},
		{"GET", "/metrics", "localhost.evil.example", 421, "is no name"},
		{"GET", "/v1/status", "192.0.2.1", 421, "is no name"},
		{"POST", "/", "", 405, "only GET and HEAD are answered: nothing can be changed here\n"},
		{"DELETE", "/v1/status", "", 405, "only GET"},
		{"OPTIONS", "/", "", 405, "only GET"},
		{"GET", "/nosuch", "", 404, ""},
		{"GET", "/../../etc/passwd", "", 404, ""},
		{"GET", "/v1/status?verdicts=x", "", 400, "verdicts=x: it is 0 to 1000\n"},
		{"GET", "/v1/status?verdicts=1001", "", 400, "it is 0 to 1000"},
		{"GET", "/healthz", "", 200, "ok, mdalpd "},
		{"GET", "/page.css", "", 200, ":root"},
		{"GET", "/icon.svg", "", 200, "<svg"},
		{"GET", "/debug/pprof/cmdline", "", 200, "mdalpd"},
	} {
		code, body, h := x.request(t, http.DefaultClient, c.method, c.path, c.host)
		if code != c.code || !strings.Contains(string(body), c.says) {
			t.Errorf("%s %s of %q: %d %s", c.method, c.path, c.host, code, body)
		}
		if p := h.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'") ||
			strings.Contains(p, "unsafe") {
			t.Errorf("%s: the policy is %q", c.path, p)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" ||
			len(h.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %v", c.path, h)
		}
	}
	// Profiles are for those who asked for them.
	if code, _, _ := watch(t).request(t, http.DefaultClient, http.MethodGet, "/debug/pprof/", ""); code != http.StatusNotFound {
		t.Errorf("profiles are served: %d", code)
	}
}
