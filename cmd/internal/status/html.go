package status

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mdalp/cmd/internal/usage"
)

// parts are the parts of the page that are kept up to date, by the ids that they have in it.
var parts = [...]string{"summary", "open", "verdicts", "receivers", "store", "counters"}

// page is the templates. What strangers wrote is cleaned and escaped there.
var page = template.Must(template.New("").Funcs(template.FuncMap{
	"bytes": size, "count": grouped, "seconds": seconds, "percent": percent,
	"clock": clock, "day": day, "stamp": stamp,
	"name":  func(s *string) string { return usage.Name(*s) },
	"line":  func(s *string) string { return usage.Text(*s) },
	"clean": usage.Name, "short": func(s *string) string { return (*s)[:12] },
	"first": func(n int, s []ShareView) []ShareView { return s[:min(n, len(s))] },
	"sub":   func(a, b int) int { return a - b },
	"words": func(s string) string { return strings.ReplaceAll(s, "_", " ") },
	"deref": func(n *int64) int64 { return *n }, "u64": func(n *uint64) uint64 { return *n },
}).ParseFS(assets, "assets/*.html"))

// A rendered is the parts of the page as of one State.
type rendered struct {
	state *State
	view  *View
	parts map[string]string
}

// render makes the parts. All who look at one State share them.
func (p *Page) render(s *State) (*rendered, error) {
	if r := p.seen.Load(); r != nil && r.state == s {
		return r, nil
	}
	r := &rendered{state: s, view: p.view(s, shownVerdicts), parts: make(map[string]string)}
	for _, name := range parts {
		var b bytes.Buffer
		if err := page.ExecuteTemplate(&b, name, r.view); err != nil {
			return nil, err
		}
		r.parts[name] = b.String()
	}
	p.seen.Store(r)
	return r, nil
}

// front is the page.
func (p *Page) front(w http.ResponseWriter, r *http.Request) {
	s, ok := p.current(w, r)
	if !ok {
		return
	}
	x, err := p.render(s)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	all := make(map[string]template.HTML)
	for name, text := range x.parts {
		all[name] = template.HTML(text) // of our own templates, escaped there
	}
	write(w, "page", map[string]any{"View": x.view, "Parts": all})
}

// verdicts is the page with all verdicts that are kept.
func (p *Page) verdicts(w http.ResponseWriter, r *http.Request) {
	if s, ok := p.current(w, r); ok {
		write(w, "all", p.view(s, mostVerdicts))
	}
}

// write sends a page.
func write(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, name, data); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// size is bytes for people, in powers of 1,000.
func size(n any) string {
	var x float64
	switch n := n.(type) {
	case int64:
		x = float64(n)
	case uint64:
		x = float64(n)
	case *int64:
		x = float64(*n)
	case float64:
		x = n
	}
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	k := 0
	for x >= 999.5 && k < len(units)-1 {
		x /= 1000
		k++
	}
	digits := 0
	if k > 0 && x < 99.95 {
		digits = 1
	}
	return strconv.FormatFloat(x, 'f', digits, 64) + "\u00a0" + units[k]
}

// grouped is a number with its digits in groups of three.
func grouped(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// seconds is a time in seconds for people.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d\u00a0ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f\u00a0s", s)
	case d < time.Minute:
		return fmt.Sprintf("%.0f\u00a0s", s)
	case d < time.Hour:
		return fmt.Sprintf("%d\u00a0min %d\u00a0s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d\u00a0h %d\u00a0min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d\u00a0d %d\u00a0h", int(d.Hours())/24, int(d.Hours())%24)
}

func percent(x float64) string { return fmt.Sprintf("%.0f\u00a0%%", 100*x) }

func clock(t time.Time) string { return t.Format("15:04:05") }

func day(t time.Time) string { return t.Format("2 January, 15:04") }

func stamp(t time.Time) string { return t.Format(time.RFC3339) }
