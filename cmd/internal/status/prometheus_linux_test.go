package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp"
	"mdalp/internal/lab"
	"mdalp/internal/need"
	"mdalp/loop"
	"mdalp/server"
)

// inside makes the test binary scrape a lab, in a process that has a network of its own. Its
// value is a folder.
const inside = "MDALP_TEST_SCRAPE"

// outside is the exit code where there can be no such network.
const outside = 99

func TestMain(m *testing.M) {
	dir := os.Getenv(inside)
	if dir == "" {
		os.Exit(m.Run())
	}
	n, code, err := lab.Enter()
	switch {
	case err != nil:
		fmt.Println(err)
		os.Exit(outside)
	case n == nil:
		os.Exit(code)
	}
	if err := scrape(n, dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// TestPrometheus has Debian's Prometheus, with the alerts as they are shipped, watch the server of
// a lab while files are sent in there.
func TestPrometheus(t *testing.T) {
	if _, err := exec.LookPath("prometheus"); err != nil {
		need.Skip(t, err)
	}
	rules, err := filepath.Abs("../../../packaging/monitoring/mdalpd.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf(`global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}
scrape_configs:
  - job_name: mdalpd
    static_configs: [{targets: ["127.0.0.1:8650"]}]
rule_files: [%q]
`, rules)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), inside+"="+dir)
	out, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() == outside {
		need.Skip(t, string(out))
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// scrape starts a lab with a status page and a Prometheus, sends, and holds what Prometheus
// knows against what was sent.
func scrape(n *lab.Network, dir string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	page, err := Open(Options{Addr: "127.0.0.1:8650"}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	lan, err := lab.Load("lan") // nothing is lost there, so that nobody waits for a timeout
	if err != nil {
		return err
	}
	l, err := lab.Start(ctx, lab.Config{
		// Longer than two timeouts in a row: who is silent for so long has ended.
		Network: n, Profile: lan, Seed: 8, Idle: 8 * time.Second, Settled: page.Settled,
		Watch: func(s *server.Server, w *loop.Waker, socks []*loop.Socket) {
			page.Serve(Watched{Server: s, Waker: w, Sockets: socks})
		},
	})
	if err != nil {
		return err
	}
	defer l.Close()
	defer page.Close()
	var said bytes.Buffer
	c := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:9090")
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		return err
	}
	defer func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if e := c.Wait(); e != nil && err == nil {
			err = e
		}
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, &said)
		}
	}()
	if err := await(ctx, `up{job="mdalpd"}`, 1); err != nil {
		return err
	}
	return transfers(ctx, l)
}

// transfers sends, and waits until Prometheus knows.
func transfers(ctx context.Context, l *lab.Lab) error {
	cfg := func() *mdalp.Config { return &mdalp.Config{Orchestrator: l.Addr()} }
	if _, err := mdalp.Offer(ctx, cfg()); err != nil { // and leaves it open
		return err
	}
	if err := await(ctx, "mdalpd_open_transactions", 1); err != nil {
		return err
	}
	payload := bytes.Repeat([]byte("0123456789"), 20_000)
	base := cfg()
	base.Base, base.Balance, base.Receiver = true, mdalp.BalanceNone, 1
	base.Tries = 100 // nobody takes over from it, and the machine may be busy
	// The base one is first: it ends by silence.
	for _, x := range []struct {
		size int
		c    *mdalp.Config
	}{{501, base}, {len(payload), cfg()}, {100_001, cfg()}} {
		if _, err := mdalp.Send(ctx, bytes.NewReader(payload[:x.size]), int64(x.size), x.c); err != nil {
			return fmt.Errorf("%d bytes: %w", x.size, err)
		}
	}
	all := float64(len(payload) + 100_001 + 501)
	for query, want := range map[string]float64{
		`mdalpd_transactions_total{status="complete"}`:             2,
		`mdalpd_transactions_total{status="unbalanced"}`:           1,
		`mdalpd_intents_total{result="accepted"}`:                  4,
		`mdalpd_settle_seconds_count`:                              3,
		`mdalpd_bytes_total`:                                       all,
		`sum(mdalpd_receiver_bytes_total)`:                         all,
		`count(mdalpd_receiver_bytes_total > 0)`:                   float64(len(l.Receivers())),
		`mdalpd_segments_total{result="store_error"}`:              0,
		`count({__name__=~"mdalpd_.+", tid!=""}) or vector(0)`:     0,
		`count(count by (__name__)({__name__=~"mdalpd_.+"})) > 20`: -1,
	} {
		if err := await(ctx, query, want); err != nil {
			return err
		}
	}
	return alerts(ctx)
}

// alerts looks whether Prometheus can evaluate each alert, and that none is on.
func alerts(ctx context.Context) error {
	type group struct {
		Rules []struct{ Name, Health, State, LastError, LastEvaluation string }
	}
	var a struct{ Data struct{ Groups []group } }
	for tick := time.Tick(100 * time.Millisecond); ; <-tick {
		if err := ask(ctx, "rules", nil, &a); err != nil {
			return err
		}
		all, known := 0, 0
		for _, g := range a.Data.Groups {
			for _, r := range g.Rules {
				all++
				switch {
				case r.Health == "err" || r.State == "firing":
					return fmt.Errorf("alert %s: %s %s", r.Name, r.State, r.LastError)
				case r.Health == "ok":
					known++
				}
			}
		}
		if all < 5 {
			return fmt.Errorf("%d alerts", all)
		}
		if known == all {
			return nil
		}
	}
}

// await waits until a query has a value; -1 is any.
func await(ctx context.Context, query string, want float64) error {
	var a struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	var last error
	for tick := time.Tick(100 * time.Millisecond); ; {
		if err := ask(ctx, "query", url.Values{"query": {query}}, &a); err != nil {
			last = err
		} else if r := a.Data.Result; len(r) != 1 {
			last = fmt.Errorf("%d results", len(r))
		} else if got := fmt.Sprint(r[0].Value[1]); want >= 0 && got != fmt.Sprint(int64(want)) {
			last = fmt.Errorf("it is %s", got)
		} else {
			return nil
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return fmt.Errorf("%s is not %v: %w", query, want, last)
		}
	}
}

// ask asks Prometheus (prometheus.io/docs/prometheus/latest/querying/api).
func ask(ctx context.Context, what string, values url.Values, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://127.0.0.1:9090/api/v1/"+what+"?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return errors.New(strings.ToLower(a.Status))
	}
	return json.NewDecoder(a.Body).Decode(v)
}
