package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// A tab is a page in a browser.
type tab struct {
	b       *browser
	session string

	// Under the browser's lock.
	wrong  []string // errors of its console, and what the policy refused
	hosts  map[string]bool
	loaded chan struct{}
}

// object is an argument.
type object = map[string]any

// tab opens one.
func (b *browser) tab(t *testing.T, width, height int, scheme string, scripts bool) *tab {
	t.Helper()
	var target struct{ TargetID string }
	b.call(t, "", "Target.createTarget", object{"url": "about:blank"}, &target)
	var at struct{ SessionID string }
	b.call(t, "", "Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}, &at)
	x := &tab{b: b, session: at.SessionID, hosts: make(map[string]bool), loaded: make(chan struct{}, 100)}
	b.mu.Lock()
	b.tabs[x.session] = x
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		x.call(t, domain+".enable", nil, nil)
	}
	x.call(
		t,
		"Emulation.setDeviceMetricsOverride",
		object{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
		nil,
	)
	x.call(
		t,
		"Emulation.setEmulatedMedia",
		object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}}},
		nil,
	)
	x.call(t, "Emulation.setScriptExecutionDisabled", object{"value": !scripts}, nil)
	t.Cleanup(func() { x.call(t, "Page.close", nil, nil) })
	return x
}

func (x *tab) call(t *testing.T, method string, params, result any) {
	t.Helper()
	x.b.call(t, x.session, method, params, result)
}

// hear takes an event.
func (x *tab) hear(method string, params json.RawMessage) {
	var p struct {
		Entry struct{ Level, Text, URL string }
		Type  string
		Args  []struct{ Value any }

		ExceptionDetails struct{ Text string }
		Request          struct{ URL string }
	}
	_ = json.Unmarshal(params, &p)
	switch method {
	case "Log.entryAdded": // refusals of the policy and of the network
		if p.Entry.Level == "error" || p.Entry.Level == "warning" {
			x.wrong = append(x.wrong, p.Entry.Text+" "+p.Entry.URL)
		}
	case "Runtime.consoleAPICalled":
		x.wrong = append(x.wrong, string(params))
	case "Runtime.exceptionThrown":
		x.wrong = append(x.wrong, string(params))
	case "Network.requestWillBeSent":
		x.hosts[host(p.Request.URL)] = true
	case "Page.loadEventFired":
		select {
		case x.loaded <- struct{}{}:
		default:
		}
	}
}

// open goes to a page and waits until it is there.
func (x *tab) open(t *testing.T, url string) {
	t.Helper()
	x.call(t, "Page.navigate", object{"url": url}, nil)
	x.reloaded(t)
}

// reloaded waits until a page is there.
func (x *tab) reloaded(t *testing.T) {
	t.Helper()
	select {
	case <-x.loaded:
	case <-time.After(patience):
		t.Fatal("the page does not come")
	}
}

// eval evaluates JavaScript, also where the page may not, and waits for a promise.
func (x *tab) eval(t *testing.T, script string, result any) {
	t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	x.call(t, "Runtime.evaluate", object{"expression": script, "awaitPromise": true, "returnByValue": true}, &r)
	if e := r.ExceptionDetails; e != nil {
		t.Fatalf("%s: %s %s", script, e.Text, e.Exception.Description)
	}
	if err := json.Unmarshal(r.Result.Value, result); err != nil {
		t.Fatalf("%s: %v: %s", script, err, r.Result.Value)
	}
}

// until waits until an expression is true.
func (x *tab) until(t *testing.T, expression string) {
	t.Helper()
	var ok bool
	x.eval(t, `new Promise((yes) => {
		const late = setTimeout(() => yes(false), 50000);
		const look = () => { if (`+expression+`) { clearTimeout(late); yes(true); } else setTimeout(look, 50); };
		look();
	})`, &ok)
	if !ok {
		t.Errorf("this never is: %s", expression)
	}
}

// picture saves what is seen.
func (x *tab) picture(t *testing.T, file string) {
	t.Helper()
	var p struct{ Data string }
	x.call(t, "Page.captureScreenshot", object{"format": "png"}, &p)
	b, err := base64.StdEncoding.DecodeString(p.Data)
	if err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

// faults gives what went wrong so far, and the hosts that were asked.
func (x *tab) faults() (wrong []string, hosts map[string]bool) {
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	return x.wrong, x.hosts
}
