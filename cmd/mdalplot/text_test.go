package main

import (
	"encoding/xml"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/vg"

	"github.com/google/go-cmp/cmp"
)

// TestAnchors checks that an SVG can be read with another font: every text has room for
// letters a fifth wider, from where it is held.
func TestAnchors(t *testing.T) {
	text := regexp.MustCompile(`(?s)<text (text-anchor="(\w+)" )?x="([0-9.-]+)" y="([0-9.-]+)" transform="scale\(1, -1\)"\s*style="font-family:([^;]*);[^>]*font-size:([0-9.]+)px[^>]*>([^<]*)</text>`)
	for name, p := range pictures(t) { // order does not show
		b := string(rendered(t, p, "x.svg"))
		if err := xml.Unmarshal([]byte(b), new(struct{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := "<title>" + escaped(p.title) + "</title>"; strings.Count(b, "<title>") != 1 || !strings.Contains(b, want) {
			t.Errorf("%s: no %q", name, want)
		}
		anchors := map[string]int{}
		found := text.FindAllStringSubmatch(b, -1)
		if len(found) != strings.Count(b, "<text") {
			t.Errorf("%s: %d of %d texts are understood", name, len(found), strings.Count(b, "<text"))
		}
		for _, m := range found {
			anchors[m[2]]++
			if !strings.HasSuffix(m[5], ",sans-serif") {
				t.Errorf("%s: the fonts are %s", name, m[5])
			}
			var x, size float64
			fmt.Sscan(m[3], &x)
			fmt.Sscan(m[6], &size)
			wide := float64(style(vg.Length(size), black, false).Width(html.UnescapeString(m[7])))
			from, to := x, x+wide
			switch m[2] {
			case "middle":
				from, to = x-wide/2, x+wide/2
			case "end":
				from, to = x-wide, x
			}
			// The label of the upright axis is turned, and counts from elsewhere.
			if upright := m[7] == p.plot.Y.Label.Text; !upright && (from < 0 || to > float64(width)) {
				t.Errorf("%s: %q reaches from %.0f to %.0f of %v", name, m[7], from, to, width)
			}
		}
		if anchors["middle"] == 0 || anchors["end"] == 0 || strings.ContainsAny(b, string(atMiddle)+string(atEnd)) {
			t.Errorf("%s: anchors %v", name, anchors)
		}
	}
}

// TestOutlier draws delays of which one is far above the others: the axis is logarithmic
// then, and says so.
func TestOutlier(t *testing.T) {
	scene := func(longest time.Duration) *scene {
		s := newScene(1, "192.0.2.11", 1).ping(500 * time.Microsecond)
		s.at += 10 * time.Millisecond
		for i := range int64(30) {
			s.send(0, i, time.Duration(i)*10*time.Millisecond, 2*time.Millisecond)
		}
		return s.send(0, 30, 300*time.Millisecond, longest)
	}
	for _, c := range []struct {
		longest time.Duration
		want    string
		ticks   []string
	}{
		{20 * time.Millisecond, "acknowledgement delay (ms)", []string{"0", "10", "20"}},
		{3 * time.Second, "acknowledgement delay (ms, logarithmic)", []string{"1", "10", "100", "1,000"}},
	} {
		p, err := delay(transfers(t, file(t, scene(c.longest)))[0])
		if err != nil {
			t.Fatal(err)
		}
		got := texts(t, rendered(t, p, "x.svg"))
		for _, w := range append(c.ticks, c.want) {
			if !slices.Contains(got, w) {
				t.Errorf("%v: no %q in %q", c.longest, w, got)
			}
		}
	}
}

// TestEqualNames tells receivers and ways to send apart that are called the same.
func TestEqualNames(t *testing.T) {
	names := []string{"a", "b", "a", "a"}
	number(names)
	if diff := cmp.Diff([]string{"a", "b", "a (2)", "a (3)"}, names); diff != "" {
		t.Error(diff)
	}
	b := &bench{Receivers: 2, Runs: 1}
	for range 2 {
		s := &sery{Mode: 2, Address: "192.0.2.1", Port: 4650, both: 1, most: 1, least: 1}
		s.Samples = append(s.Samples, sample{0, 1})
		b.Series = append(b.Series, s)
	}
	p, err := compare(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(t, rendered(t, p, "x.svg")); !slices.Contains(got, "192.0.2.1 alone") || !slices.Contains(got, "192.0.2.1 alone (2)") {
		t.Errorf("%q", got)
	}
}

// TestDecades checks the numbers at a logarithmic axis.
func TestDecades(t *testing.T) {
	for _, c := range []struct {
		from, to float64
		want     string
	}{
		{0.4, 60, "0.5 1 2 5 10 20 50"}, {0.03, 0.3, "0.05 0.1 0.2"}, {0.001, 20000, "0.001 0.01 0.1 1 10 100 1,000 10,000"}, {0, 1, ""}, {2, 1, ""},
	} {
		var got []string
		for _, x := range (decades{}).Ticks(c.from, c.to) {
			got = append(got, x.Label)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v to %v: %s instead of %s", c.from, c.to, s, c.want)
		}
	}
}
