package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp"
)

func TestList(t *testing.T) {
	if got := list("amd64,arm64"); !cmp.Equal(got, []string{"amd64", "arm64"}) {
		t.Errorf("%q", got)
	}
	if got := list(""); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// TestFind finds the dissector wherever it is, but not in what was built.
func TestFind(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"dist", "deep/er"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "dist", "mdalp.lua"), "old")
	if got, err := find(root, "mdalp.lua"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	want := filepath.Join(root, "deep", "er", "mdalp.lua")
	write(t, want, "x")
	if got, err := find(root, "mdalp.lua"); got != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestWhen is the time of the release, from the environment.
func TestWhen(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	r := &release{root: t.TempDir()}
	if at, err := r.when(); err != nil || !at.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("%v, %v", at, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, err := r.when(); err == nil {
		t.Error("no error")
	}
}

// TestArchive makes the same archive twice, of files with different times. Nothing of
// another bundle is in it.
func TestArchive(t *testing.T) {
	var sums []string
	for i := range 2 {
		r := &release{root: filepath.Join("..", ".."), out: t.TempDir(), stage: t.TempDir(), epoch: time.Unix(1700000000, 0)}
		for _, d := range []string{"amd64", "mdalp/completions", "mdalp/doc", "mdalp/man", "mdalplot/man"} {
			if err := os.MkdirAll(filepath.Join(r.stage, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range []string{
			"amd64/mdalp", "amd64/mdalpd", "amd64/mdalplot", "mdalplot/man/mdalplot.1",
			"mdalp/completions/mdalp", "mdalp/doc/README.md", "mdalp/man/mdalp.1", "mdalp/mdalpd.service",
		} {
			write(t, filepath.Join(r.stage, f), f)
			if err := os.Chtimes(filepath.Join(r.stage, f), time.Time{}, time.Unix(int64(1e9+i), 0)); err != nil {
				t.Fatal(err)
			}
		}
		if err := compress(filepath.Join(r.stage, "mdalp", "man")); err != nil {
			t.Fatal(err)
		}
		if got := unzip(t, filepath.Join(r.stage, "mdalp", "man", "mdalp.1.gz")); got != "mdalp/man/mdalp.1" {
			t.Errorf("a page of %q", got)
		}
		name, err := r.archive(bundles[0], "amd64")
		if err != nil {
			t.Fatal(err)
		}
		const base = "mdalp_" + mdalp.Version + "_linux_amd64/"
		want := []string{"mdalp", "mdalpd", "completions/mdalp", "doc/README.md", "man/mdalp.1.gz", "mdalpd.service"}
		if diff := cmp.Diff(want, names(t, filepath.Join(r.out, name), base)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if err := r.sum([]string{name}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			t.Fatal(err)
		}
		sum, err := os.ReadFile(filepath.Join(r.out, "SHA256SUMS"))
		if want := fmt.Sprintf("%x  %s\n", sha256.Sum256(b), name); err != nil || string(sum) != want {
			t.Errorf("%s instead of %s, %v", sum, want, err)
		}
		sums = append(sums, string(sum))
	}
	if sums[0] != sums[1] {
		t.Errorf("two archives of one source:\n%s%s", sums[0], sums[1])
	}
}

// TestStatic refuses what is no program.
func TestStatic(t *testing.T) {
	name := filepath.Join(t.TempDir(), "text")
	write(t, name, "no program")
	if err := static(name); err == nil {
		t.Error("text is a static program")
	}
}

// names lists a tarball whose files are all below base.
func names(t *testing.T, name, base string) (list []string) {
	t.Helper()
	r := tar.NewReader(strings.NewReader(unzip(t, name)))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil || !strings.HasPrefix(h.Name, base) {
			t.Fatalf("%+v, %v", h, err)
		}
		list = append(list, strings.TrimPrefix(h.Name, base))
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func unzip(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
