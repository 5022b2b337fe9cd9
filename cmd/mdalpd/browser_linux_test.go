package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

var pictures = flag.String(
	"pictures",
	"",
	"a `folder` for pictures of the status page, as a browser shows it",
)

// host is the host of an address, with its port.
func host(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	return u.Host
}

// cramped finds what is wider than the screen, and texts that stand out of their place.
const cramped = `(() => {
	const wide = [], e = document.documentElement;
	if (e.scrollWidth > e.clientWidth) wide.push("the page: " + e.scrollWidth + " of " + e.clientWidth);
	for (const x of document.querySelectorAll("body *")) {
		const r = x.getBoundingClientRect(), s = getComputedStyle(x);
		if (r.width <= 1 || x.closest(".unseen, .skip, thead") || s.display === "inline") continue;
		if (r.right > e.clientWidth + 1 || r.left < -1) wide.push(x.tagName + " " + x.textContent.slice(0, 40));
		else if (x.scrollWidth > x.clientWidth + 1 && x.clientWidth > 0 && s.display !== "block") wide.push("in " + x.tagName + " " + x.textContent.slice(0, 40));
	}
	return wide.slice(0, 5);
})()`

// TestBrowser has a real browser show the page: on a desk and a phone, by day and night, with
// 50 open transactions and 1,000 verdicts. Nothing sticks out, nothing is refused or asked of
// another host, and what a client calls its payload is text.
func TestBrowser(t *testing.T) {
	t.Parallel() // a browser starts and a page reloads
	x := watch(t)
	x.crowd(t, 1000, 50)
	x.settled(t, 1000)
	b := chromium(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{1280, 390} {
			t.Run(fmt.Sprintf("%s %d", scheme, width), func(t *testing.T) {
				tab := b.tab(t, width, 844, scheme, true)
				for _, path := range []string{"/", "/verdicts"} {
					tab.open(t, "http://"+x.http+path)
					var wide []string
					if tab.eval(t, cramped, &wide); len(wide) > 0 {
						t.Errorf("%s: too wide: %q", path, wide)
					}
					var title string
					if tab.eval(t, "document.title", &title); title != "mdalpd status" && title != "mdalpd verdicts" {
						t.Errorf("%s: the title is %q", path, title)
					}
					if scheme == "light" { // by night it is the same
						tab.heard(t, path)
					}
					tab.shoot(t, fmt.Sprintf("%s-%d%s", scheme, width, name(path)))
				}
				tab.fine(t, x)
			})
		}
	}
}

// heard looks at the page as a screen reader has it: tables with names, headers of rows and
// columns, landmarks. A style may take them away.
func (x *tab) heard(t *testing.T, path string) {
	t.Helper()
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value any }
		}
	}
	x.call(t, "Accessibility.getFullAXTree", nil, &tree)
	roles := make(map[any]int)
	for _, n := range tree.Nodes {
		if n.Ignored {
			continue
		}
		roles[n.Role.Value]++
		if n.Role.Value == "table" && n.Name.Value == "" {
			t.Errorf("%s: a table has no name", path)
		}
	}
	want := map[any]int{
		"main":         1,
		"banner":       1,
		"heading":      2,
		"table":        1,
		"columnheader": 7,
		"rowheader":    1000,
		"navigation":   1,
	}
	if path == "/" {
		want = map[any]int{
			"main":         1,
			"banner":       1,
			"contentinfo":  1,
			"heading":      7,
			"table":        6,
			"columnheader": 23,
			"rowheader":    153,
			"navigation":   1,
			"status":       1,
			"button":       1,
			"progressbar":  17,
		}
	}
	for role, n := range want { // order does not show
		if roles[role] < n {
			t.Errorf("%s: of %v there are %d instead of %d", path, role, roles[role], n)
		}
	}
}

// name makes a path part of a file's name.
func name(path string) string {
	if path == "/" {
		return ""
	}
	return "-" + path[1:]
}

// shoot saves a picture, if they are wanted.
func (x *tab) shoot(t *testing.T, name string) {
	if *pictures == "" {
		return
	}
	if err := os.MkdirAll(*pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	var ids []string
	x.eval(t, `[...document.querySelectorAll("h2[id]")].map((h) => h.id)`, &ids)
	x.picture(t, filepath.Join(*pictures, name+".png"))
	for _, id := range ids {
		x.eval(t, `(document.getElementById("`+id+`").scrollIntoView(), true)`, new(bool))
		x.picture(t, filepath.Join(*pictures, name+"-"+id+".png"))
	}
}

// fine fails the test if anything went wrong in the tab, or another host was asked.
func (x *tab) fine(t *testing.T, w *watched) {
	t.Helper()
	wrong, hosts := x.faults()
	if len(wrong) > 0 {
		t.Errorf("the console says %q", wrong)
	}
	if len(hosts) != 1 || !hosts[w.http] {
		t.Errorf("these hosts were asked: %v", hosts)
	}
}

// TestBrowserLive is a page that is kept up to date: a verdict comes into it, and a screen
// reader is told.
func TestBrowserLive(t *testing.T) {
	t.Parallel() // a browser starts and a page reloads
	x := watch(t)
	b := chromium(t)
	tab := b.tab(t, 1280, 844, "light", true)
	tab.open(t, "http://"+x.http+"/")
	tab.until(t, `document.getElementById("live").textContent === "Live"`)
	tid := x.transfer(t, true)
	tab.until(t, fmt.Sprintf(`document.querySelector("#verdicts tbody th")?.textContent === "%d"`, tid))
	tab.until(
		t,
		fmt.Sprintf(`document.getElementById("say").textContent === "Verdict of transaction %d: complete"`, tid),
	)
	// By the keyboard the first thing is a way past all else, which is seen then.
	tab.call(
		t,
		"Input.dispatchKeyEvent",
		object{"type": "keyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
		nil,
	)
	tab.until(
		t,
		`document.activeElement.className === "skip" && document.activeElement.getBoundingClientRect().left > 0`,
	)
	tab.until(t, `getComputedStyle(document.activeElement).outlineStyle === "solid"`)
	// What is held by the keyboard does not change under it; other parts do.
	tab.until(t, `(document.querySelector("#pause").focus(), document.activeElement.id === "pause")`)
	tab.eval(t, `(document.getElementById("pause").click(), true)`, new(bool))
	tab.until(t, `document.getElementById("live").textContent === "Paused"`)
	second := x.transfer(t, true)
	x.settled(t, 2)
	var stays string
	if tab.eval(t, `document.querySelector("#verdicts tbody th").textContent`, &stays); stays != fmt.Sprint(
		tid,
	) {
		t.Errorf("a page that is paused has %s", stays)
	}
	tab.eval(t, `(document.getElementById("pause").click(), true)`, new(bool))
	tab.until(t, fmt.Sprintf(`document.querySelector("#verdicts tbody th").textContent === "%d"`, second))
	tab.fine(t, x)
	// Here the connection ends, which the console tells.
	if code, said := x.end(15); code != 0 {
		t.Errorf("it ends with %d while a page is open: %s", code, said)
	}
	tab.until(t, `document.getElementById("live").textContent === "No connection to the server"`)
}

// TestBrowserPlain is the page without JavaScript: it loads itself again.
func TestBrowserPlain(t *testing.T) {
	t.Parallel() // a browser starts and a page reloads
	x := watch(t)
	b := chromium(t)
	tab := b.tab(t, 390, 844, "light", false)
	tab.open(t, "http://"+x.http+"/")
	tid := x.transfer(t, true)
	x.settled(t, 1)
	tab.reloaded(t)
	var shown string
	if tab.eval(t, `document.querySelector("#verdicts tbody th").textContent`, &shown); shown != fmt.Sprint(
		tid,
	) {
		t.Errorf("after a reload %s is shown instead of %d", shown, tid)
	}
	var hidden bool
	if tab.eval(t, `document.getElementById("pause").hidden`, &hidden); !hidden {
		t.Error("there is a button that does nothing")
	}
	tab.fine(t, x)
}
