package overview

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mdalp"
	"mdalp/fleet/engine"
)

const (
	// stale is how old a view may be that is shown again: who looks costs the engine little.
	stale = 2 * time.Second
	// patience is how long a look may take.
	patience = 5 * time.Second
)

// A Count is a number of the part itself, for its metrics.
type Count struct {
	Name, Help string
	Value      float64
	Gauge      bool
}

// Counter is a number that only rises.
func Counter(name, help string, n uint64) Count {
	return Count{Name: name, Help: help, Value: float64(n)}
}

// Gauge is one that falls too.
func Gauge(name, help string, n int) Count {
	return Count{Name: name, Help: help, Value: float64(n), Gauge: true}
}

// A Page shows a fleet to browsers and to Prometheus.
type Page struct {
	// Self is the ID of the part that shows it.
	Self string
	// Counts gives its own numbers, and Health, in words, how it goes: empty when it does not
	// answer. Both may be nil.
	Counts func() []Count
	Health func() string

	source Source
	mu     sync.Mutex
	at     time.Time
	view   *View
}

// NewPage makes a page about the fleet of e.
func NewPage(e Source, self string, counts func() []Count) *Page {
	return &Page{Self: self, Counts: counts, source: e}
}

// look gives a view that is not older than stale. Those who come at once share it.
func (p *Page) look(ctx context.Context) *View {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.view == nil || time.Since(p.at) > stale {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		p.view = Look(ctx, p.source)
		p.at = time.Now()
	}
	return p.view
}

// Serve serves it on l until that is closed. A request's Host must be an address or localhost,
// so that no page of a stranger can read it through a browser, by a name that it had point here.
func (p *Page) Serve(l net.Listener) error {
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", p.html)
	m.HandleFunc("GET /status.json", p.json)
	m.HandleFunc("GET /healthz", p.health)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{p}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	s := &http.Server{Handler: known(m), ReadHeaderTimeout: patience, IdleTimeout: time.Minute}
	return s.Serve(l)
}

func known(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if host != "localhost" && net.ParseIP(host) == nil {
			http.Error(w, "ask for an address, or localhost", http.StatusMisdirectedRequest)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

func (p *Page) json(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.Encode(p.look(r.Context())) // who has gone needs no error
}

// health is whether this part answers, for who starts it anew when it does not. Whether the
// engine does is no matter: a start would not mend that.
func (p *Page) health(w http.ResponseWriter, _ *http.Request) {
	s := "the page answers"
	if p.Health != nil {
		s = p.Health()
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if s == "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "the loop does not answer")
		return
	}
	fmt.Fprintf(w, "ok, mdalp-fleet %s: %s\n", mdalp.Version, s)
}

var words = template.FuncMap{"size": size, "state": state}

// page is a table that needs no script: the browser loads it anew.
var page = template.Must(template.New("").Funcs(words).Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="3"><title>mdalp fleet</title>
<meta name="viewport" content="width=device-width">
<style>body{font:1rem/1.4 sans-serif;margin:1rem;max-width:70rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem .2rem 0;text-align:left}
td.n,th.n{text-align:right}.bad{color:#a00000}@media(prefers-color-scheme:dark){body{color:#ddd;
background:#111}.bad{color:#ff8080}}</style>
<h1>mdalp fleet</h1>
{{range .View.Problems}}<p class="bad">{{.}}</p>{{else}}<p>All is well.</p>{{end}}
<table><tr><th>Role<th>ID<th>Address<th>Zone<th class="n">Open<th class="n">Free<th>State</tr>
{{range .View.Parties}}<tr><td>{{.Role}}<td>{{.ID}}{{if eq .ID $.Self}} (this page){{end}}<td>{{.Addr}}
<td>{{.Zone}}<td class="n">{{.Open}}<td class="n">{{size .Free}}
<td>{{state .}}</tr>
{{end}}</table>
<table><tr><th>Open transactions<th class="n">Number</tr>
{{range $state, $n := .View.Open}}<tr><td>{{$state}}<td class="n">{{$n}}</tr>{{end}}
<tr><td>without an orchestrator<td class="n">{{.View.Orphans}}</tr></table>
<table><tr><th>Stream<th>Leader<th>Others<th class="n">Records<th class="n">Holds<th class="n">Of</tr>
{{range .View.Streams}}<tr><td>{{.Name}}<td>{{.Leader}}<td>{{range .Replicas}}{{.Name}}
{{if .Offline}}(away){{else if not .Current}}(behind){{end}} {{end}}
{{if not .Problem}}<td class="n">{{.Messages}}<td class="n">{{.Bytes}} B
<td class="n">{{size .MaxBytes}}{{end}}</tr>{{end}}</table></html>
`))

func (p *Page) html(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	if err := page.Execute(&b, struct {
		View *View
		Self string
	}{p.look(r.Context()), p.Self}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

// metric describes one. No label has what a stranger chooses.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mdalp_fleet_"+name, help, labels, nil)
}

var (
	parties = metric("parties", "Orchestrators and receivers that are there.", "role", "state")
	open    = metric("open_transactions", "Transactions that have not ended.", "state")
	orphans = metric("orphans", "Of these, those whose orchestrator is not there.")
	ready   = metric("engine_up", "1 when the engine answers.")
	writes  = metric("engine_calls_total", "Calls of this part to the engine.", "call")
	away    = metric("engine_away_total", "Of these, those that it did not answer.")
	held    = metric("stream_bytes", "What a stream of the engine holds.", "stream")
	bound   = metric("stream_max_bytes", "The most that it may hold.", "stream")
	waits   = metric("stream_messages", "Messages in it.", "stream")
	behind  = metric("stream_copies_behind", "Servers that keep it, and are behind or away.", "stream")
)

type collector struct{ p *Page }

// Describe implements prometheus.Collector. The part's own are not told before: that makes it
// unchecked, so they may be what they like.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (k collector) Collect(c chan<- prometheus.Metric) {
	send := func(t prometheus.ValueType, d *prometheus.Desc, n float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, t, n, labels...)
	}
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		send(prometheus.GaugeValue, d, n, labels...)
	}
	v := k.p.look(context.Background())
	type kind struct{ role, state string }
	there := make(map[kind]float64)
	for _, r := range []engine.Role{engine.Orchestrator, engine.Receiver} {
		there[kind{string(r), takes}], there[kind{string(r), drains}] = 0, 0
	}
	there[kind{string(engine.Receiver), isFull}] = 0
	for _, p := range v.Parties {
		there[kind{string(p.Role), state(p)}]++
	}
	for w, n := range there {
		gauge(parties, n, w.role, w.state)
	}
	for _, s := range []engine.State{engine.Created, engine.Open, engine.Settling} {
		gauge(open, float64(v.Open[s]), string(s))
	}
	gauge(orphans, float64(v.Orphans))
	answers, s := 1.0, k.p.source.Stats()
	if !s.Connected { // and there is nothing of streams in the view
		answers = 0
	}
	for _, s := range v.Streams {
		if s.Problem != "" {
			answers = 0
			continue
		}
		gauge(held, float64(s.Bytes), s.Name)
		gauge(bound, float64(s.MaxBytes), s.Name)
		gauge(waits, float64(s.Messages), s.Name)
		n := 0
		for _, r := range s.Replicas {
			if r.Offline || !r.Current {
				n++
			}
		}
		gauge(behind, float64(n), s.Name)
	}
	gauge(ready, answers)
	for name, n := range map[string]uint64{"write": s.Writes, "settled": s.Settled, "read": s.Reads,
		"sync": s.Syncs, "say": s.Says, "ask": s.Asks, "repeat": s.Repeats} {
		send(prometheus.CounterValue, writes, float64(n), name)
	}
	send(prometheus.CounterValue, away, float64(s.Away))
	if k.p.Counts == nil {
		return
	}
	for _, n := range k.p.Counts() {
		t := prometheus.CounterValue
		if n.Gauge {
			t = prometheus.GaugeValue
		}
		send(t, metric(n.Name, n.Help), n.Value)
	}
}
