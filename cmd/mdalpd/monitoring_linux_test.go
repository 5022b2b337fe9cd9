package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mdalp/internal/need"
)

// monitoring is the folder of what is for Prometheus and Grafana.
var monitoring = filepath.Join("..", "..", "packaging", "monitoring")

// asked finds the names of metrics in a query.
var asked = regexp.MustCompile(`\b(mdalpd|process|go)_[a-z_0-9]+`)

// TestMonitoring sees that the alerts and the dashboard ask for metrics that there are.
func TestMonitoring(t *testing.T) {
	x := watch(t)
	x.transfer(t, true)
	text := "\n" + string(x.get(t, "/metrics"))
	there := func(name string) bool {
		return strings.Contains(text, "\n"+name+"{") || strings.Contains(text, "\n"+name+" ")
	}
	rules, err := os.ReadFile(filepath.Join(monitoring, "mdalpd.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dashboard, err := os.ReadFile(filepath.Join(monitoring, "mdalpd.dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(dashboard) {
		t.Error("the dashboard is no JSON")
	}
	for _, file := range [][]byte{rules, dashboard} {
		names := asked.FindAllString(string(file), -1)
		if len(names) < 10 {
			t.Errorf("%d metrics are asked for", len(names))
		}
		for _, name := range names {
			if !there(name) {
				t.Errorf("there is no metric %s", name)
			}
		}
	}
	// Labels and their values in the queries of alerts, too.
	for _, m := range regexp.MustCompile(`(mdalpd_\w+)\{(\w+)="(\w+)"\}`).FindAllSubmatch(rules, -1) {
		if !strings.Contains(text, "\n"+string(m[0])+" ") {
			t.Errorf("there is no %s", m[0])
		}
	}
	for _, m := range regexp.MustCompile(`status[!=]~"([a-z|]+)"`).FindAllSubmatch(rules, -1) {
		for _, status := range strings.Split(string(m[1]), "|") {
			if !strings.Contains(text, `mdalpd_transactions_total{status="`+status+`"}`) {
				t.Errorf("there is no status %s", status)
			}
		}
	}
}

// TestAlerts has Prometheus's own tool read the alerts, and try them on made-up series.
func TestAlerts(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		need.Skip(t, err)
	}
	for _, args := range [][]string{{"check", "rules", "mdalpd.rules.yml"}, {"test", "rules", "mdalpd.test.yml"}} {
		c := exec.Command("promtool", args...)
		c.Dir = monitoring
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	c := exec.Command("promtool", "check", "metrics")
	c.Stdin = strings.NewReader(string(watch(t).get(t, "/metrics")))
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
