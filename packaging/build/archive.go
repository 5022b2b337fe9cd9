package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mdalp"
)

// archive makes the tarball of an architecture, and gives its name. The times, owners
// and order of its files depend on nothing but the source.
func (r *release) archive(c bundle, arch string) (string, error) {
	base := fmt.Sprintf("%s_%s_linux_%s", c.name, mdalp.Version, arch)
	type file struct {
		from, to string
		mode     int64
	}
	var files []file
	// The programs come first and alone are executable.
	for _, p := range c.programs {
		files = append(files, file{filepath.Join(r.stage, arch, p), p, 0o755})
	}
	stage := os.DirFS(filepath.Join(r.stage, c.name))
	// In the order of their names.
	err := fs.WalkDir(stage, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, file{filepath.Join(r.stage, c.name, name), name, 0o644})
		}
		return err
	})
	if err != nil {
		return "", err
	}

	var b bytes.Buffer
	// The error is of a level that does not exist.
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	t := tar.NewWriter(z)
	for _, f := range files {
		data, err := os.ReadFile(f.from)
		if err != nil {
			return "", err
		}
		// Everything lies in one folder with the version in its name. USTAR keeps whole seconds,
		// and nobody sets an owner: nothing of the machine that builds gets in.
		h := &tar.Header{Name: path.Join(base, f.to), Mode: f.mode, Size: int64(len(data)),
			ModTime: r.epoch, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return "", err
		}
		if _, err := t.Write(data); err != nil {
			return "", err
		}
	}
	// In this order: the tarball's end has to be in what is compressed.
	if err := t.Close(); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	name := base + ".tar.gz"
	return name, os.WriteFile(filepath.Join(r.out, name), b.Bytes(), 0o644)
}

// sum writes SHA256SUMS, as sha256sum(1) checks it. The second blank between sum and
// name stands where it has the mode of reading. The names are sorted, so that the order
// of the build does not show.
func (r *release) sum(names []string) error {
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		f, err := os.Open(filepath.Join(r.out, n))
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", h.Sum(nil), n)
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(b.String()), 0o644)
}

// compress puts gzip files in the place of those of a folder, as man pages are
// installed.
func compress(dir string) error {
	found, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		name := filepath.Join(dir, f.Name())
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // no name and no time
		z.Write(data)
		z.Close()
		if err := os.WriteFile(name+".gz", b.Bytes(), 0o644); err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a small file.
func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

// exists reports whether there is such a file. Folders, links and devices are none:
// nfpm would have to be told of them otherwise.
func exists(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode()&fs.ModeType == 0
}
