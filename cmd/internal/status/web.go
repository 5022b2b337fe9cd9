package status

import (
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mdalp"
	"mdalp/cmd/internal/usage"
)

//go:embed assets/*
var assets embed.FS

const (
	// shownVerdicts is how many verdicts are told unless more are asked for.
	shownVerdicts = 100
	// answering is how long an answer may take to be sent, and profiling a profile.
	answering = 30 * time.Second
	profiling = 5 * time.Minute
)

// handler is all that is served.
func (p *Page) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/{$}", p.front)
	m.HandleFunc("/verdicts", p.verdicts)
	m.HandleFunc("/v1/status", p.status)
	m.HandleFunc("/v1/live", p.stream)
	m.HandleFunc("/healthz", p.health)
	m.Handle("/metrics", p.metrics())
	for _, name := range []string{"page.css", "page.js", "icon.svg"} {
		m.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, assets, "assets/"+name)
		})
	}
	if p.o.Profiles {
		m.HandleFunc("/debug/pprof/", pprof.Index)
		m.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		m.HandleFunc("/debug/pprof/profile", pprof.Profile)
		m.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		m.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return p.guard(m)
}

// policy lets a page load what comes from here, and nothing else (Content Security Policy
// Level 3).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard refuses what only looks like a question to this server, and sees to it that answers
// do no harm.
func (p *Page) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		// Whoever owns a name may have it lead here, and read the answers as his own (DNS
		// rebinding). So the name must be one of ours.
		if !p.known(r) {
			refuse(
				w,
				http.StatusMisdirectedRequest,
				fmt.Sprintf("%s is no name of this server: give it with --http-host", usage.Quote(r.Host)),
			)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			refuse(w, http.StatusMethodNotAllowed,
				"only GET and HEAD are answered: nothing can be changed here")
			return
		}
		c := http.NewResponseController(w)
		limit := answering
		if strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
			limit = profiling
			unread(c)
		}
		_ = c.SetWriteDeadline(time.Now().Add(limit))
		next.ServeHTTP(w, r)
	})
}

// unread lets a request go on for longer than reading it may take: package http listens for
// the client's end all the while, and takes the end of that time for it.
func unread(c *http.ResponseController) { _ = c.SetReadDeadline(time.Time{}) }

// known reports whether a request asks for one of our names: localhost, the address of --http
// or the one that it came to, or a name of --http-host.
func (p *Page) known(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "."))
	same := func(h string) bool { return strings.EqualFold(strings.TrimSuffix(h, "."), host) }
	if host == "localhost" || slices.ContainsFunc(p.o.Hosts, same) {
		return true
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok &&
		at.AddrPort().Addr().Unmap().WithZone("") == a {
		return true
	}
	named, err := p.o.addr()
	return a.IsLoopback() || err == nil && named.Addr().WithZone("") == a
}

// refuse answers with one line.
func refuse(w http.ResponseWriter, code int, why string) { http.Error(w, why, code) }

// current gives what to tell, or answers that there is nothing.
func (p *Page) current(w http.ResponseWriter, r *http.Request) (*State, bool) {
	s, _ := p.state(r.Context())
	if s == nil {
		refuse(w, http.StatusServiceUnavailable, errSilent.Error())
	}
	return s, s != nil
}

// status is /v1/status.
func (p *Page) status(w http.ResponseWriter, r *http.Request) {
	most := shownVerdicts
	if q := r.URL.Query().Get("verdicts"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 0 || n > mostVerdicts {
			refuse(w, http.StatusBadRequest,
				fmt.Sprintf("verdicts=%s: it is 0 to %d", usage.Name(q), mostVerdicts))
			return
		}
		most = n
	}
	s, ok := p.current(w, r)
	if !ok {
		return
	}
	b, err := json.Marshal(p.view(s, most))
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
}

// health is /healthz: whether the loop answers.
func (p *Page) health(w http.ResponseWriter, r *http.Request) {
	s, fresh := p.state(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch {
	case !fresh:
		refuse(w, http.StatusServiceUnavailable, errSilent.Error())
	case s.Now.Draining:
		fmt.Fprintln(w, "ok, draining: no transactions begin any more")
	default:
		fmt.Fprintln(w, "ok, mdalpd", mdalp.Version)
	}
}
