// Command build makes what is released: static programs for each architecture, as
// archives and as packages of the distributions, and their checksums.
//
//	go run ./packaging/build [-out dist] [-arch amd64,arm64] [-packages deb,rpm,apk]
//
// It runs from anywhere in the tree, needs Go alone, and gives the same bytes for the
// same source and SOURCE_DATE_EPOCH (the time of the last commit, if there is none).
package main

import (
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mdalp"
)

// nfpm writes the packages. It is pinned here and fetched by go run, so that go.mod
// holds only what the programs import.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"

// A bundle is an archive, and a package of each kind, for each architecture.
type bundle struct {
	name     string
	programs []string
	// To the names that they get. Debian's policy (section 12.5) has the licence as
	// "copyright".
	docs   map[string]string // by their paths in the source
	config string            // for nfpm, in packaging
	unit   bool              // has the service and, if there is one, the dissector
}

// bundles are what is released. What draws is apart, so that a machine that sends does
// not carry it.
var bundles = []bundle{
	{
		name: "mdalp", programs: []string{"mdalp", "mdalpd"}, config: "nfpm.yaml", unit: true,
		// What users read. The rest of the tree is for those who have the source.
		docs: map[string]string{
			"README.md": "README.md", "PROTOCOL.md": "PROTOCOL.md",
			"CHANGELOG.md": "CHANGELOG.md", "LICENSE": "copyright",
			"docs/operation.md":                          "operation.md",
			"packaging/monitoring/mdalpd.rules.yml":      "mdalpd.rules.yml",
			"packaging/monitoring/mdalpd.dashboard.json": "mdalpd.dashboard.json",
		},
	},
	{
		name: "mdalplot", programs: []string{"mdalplot"}, config: "mdalplot.yaml",
		docs: map[string]string{"LICENSE": "copyright"},
	},
}

// A release is one run.
type release struct {
	root  string // of the source
	out   string
	stage string // where packages take their files from: a folder for each bundle and architecture
	epoch time.Time
}

func main() {
	out := flag.String("out", "dist", "folder for what is made, from the root of the source")
	archs := flag.String("arch", "amd64,arm64", "architectures, as Go calls them")
	packages := flag.String("packages", "deb,rpm,apk", "kinds of packages; empty for none")
	flag.Parse()
	if err := build(*out, list(*archs), list(*packages)); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

// list parts a list, which may be empty. strings.Split would make one empty package or
// architecture of that.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

// build makes everything.
func build(out string, archs, packages []string) error {
	// The module's folder, from wherever in it this is run.
	root, err := output("go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	if !filepath.IsAbs(out) {
		out = filepath.Join(root, out)
	}
	r := &release{root: root, out: out}
	if r.epoch, err = r.when(); err != nil {
		return err
	}
	// Outside of dist, so that nothing half made is taken for a release.
	if r.stage, err = os.MkdirTemp("", "mdalp-stage-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.stage)
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	var made []string
	// What is the same for all architectures is collected first: it also shows that the
	// programs build and run before the longer part begins.
	for _, b := range bundles {
		if err := r.collect(b); err != nil {
			return err
		}
		for _, arch := range archs {
			if err := r.compile(b, arch, filepath.Join(r.stage, arch)); err != nil {
				return err
			}
			name, err := r.archive(b, arch)
			if err != nil {
				return err
			}
			made = append(made, name)
			for _, kind := range packages {
				if name, err = r.pack(b, kind, arch); err != nil {
					return err
				}
				made = append(made, name)
			}
		}
	}
	return r.sum(made)
}

// when is the time that is stamped on all files. A fixed one is what makes builds
// reproducible (reproducible-builds.org has the variable's specification). From a
// tarball without git's history the clock must do, and two builds differ.
func (r *release) when() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = output("git", "-C", r.root, "log", "-1", "--format=%ct"); err != nil {
			// Tarballs and packages keep whole seconds.
			return time.Now().Truncate(time.Second), nil // not from a repository
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(n, 0).UTC(), nil
}

// compile builds the programs for an architecture into a folder.
func (r *release) compile(b bundle, arch, dir string) error {
	for _, p := range b.programs {
		name := filepath.Join(dir, p)
		// Neither paths nor the state of the repository, which may differ between two builds of
		// one source. The symbols go for size; Go's stack traces do not need them.
		c := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
			"-ldflags=-s -w", "-o", name, "./cmd/"+p)
		c.Dir = r.root
		// Without cgo the resolver and user look-ups are Go's own, and the program is static.
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		if err := run(c); err != nil {
			return err
		}
		if err := static(name); err != nil {
			return err
		}
	}
	return nil
}

// static makes sure that a program needs no loader: it must run in an empty container.
// PT_INTERP names the loader (elf(5)); a program without it is run by the kernel alone.
func static(name string) error {
	f, err := elf.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		// So a build with cgo that slipped in is found here, and not by whoever installs it.
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not static", name)
		}
	}
	return nil
}

// pack makes a package, and gives its name.
func (r *release) pack(b bundle, kind, arch string) (string, error) {
	config, err := r.config(b)
	if err != nil {
		return "", err
	}
	target, err := os.MkdirTemp(r.stage, "package-")
	if err != nil {
		return "", err
	}
	// The configurations name their files by these variables.
	c := exec.Command("go", "run", nfpm, "package", "--config", config,
		"--packager", kind, "--target", target)
	c.Dir = r.root
	c.Env = append(os.Environ(), "MDALP_VERSION="+mdalp.Version, "MDALP_ARCH="+arch, "MDALP_STAGE="+r.stage,
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.epoch.Unix()))
	if err := run(c); err != nil {
		return "", err
	}
	// nfpm names it as the distribution does.
	found, err := os.ReadDir(target)
	if err != nil {
		return "", err
	}
	// A folder of its own for each package, so that its name need not be guessed.
	if len(found) != 1 {
		return "", fmt.Errorf("nfpm made %d files instead of one %s", len(found), kind)
	}
	name := found[0].Name()
	return name, copyFile(filepath.Join(target, name), filepath.Join(r.out, name))
}

// config gives the configuration for nfpm: that of the bundle in packaging, which ends
// with the list of files, and what may be missing, which nfpm would take for an error.
func (r *release) config(b bundle) (string, error) {
	text, err := os.ReadFile(filepath.Join(r.root, "packaging", b.config))
	if err != nil {
		return "", err
	}
	if exists(filepath.Join(r.stage, b.name, "mdalp.lua")) {
		text = append(text, `  - {dst: /usr/share/mdalp, type: dir, file_info: {mode: 0755}, packager: rpm}
  - {src: "${MDALP_STAGE}/mdalp/mdalp.lua", dst: /usr/share/mdalp/mdalp.lua, expand: true}
`...)
	}
	name := filepath.Join(r.stage, b.config)
	return name, os.WriteFile(name, text, 0o644)
}

// run runs a command, whose messages go to standard error. It is shown first, as set -x
// does in a shell: builds are long, and are read in logs.
func run(c *exec.Cmd) error {
	fmt.Fprintln(os.Stderr, strings.Join(c.Args, " "))
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", c.Args[0], err)
	}
	return nil
}

// output gives what a command prints, without the last newline.
func output(name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	c.Stderr = os.Stderr
	b, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return strings.TrimRight(string(b), "\n"), nil
}
