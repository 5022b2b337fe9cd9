package mdalp_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// This test keeps the rules of the house from the source itself. It parses every Go
// file of the tree, and runs nothing else.

// The modules that packages may import, apart from this one.
const (
	xnet    = "golang.org/x/net"
	xsys    = "golang.org/x/sys"
	socket  = "github.com/mdlayher/socket"
	noise   = "github.com/flynn/noise"
	systemd = "github.com/coreos/go-systemd/v22"
)

// imports says what of this module, and what of others, a package may import.
var imports = map[string]struct{ ours, others []string }{
	"wire":          {},
	"sched":         {},
	"icmp":          {others: []string{xnet, xsys, socket}},
	"loop":          {others: []string{xsys, socket}},
	"seal":          {ours: []string{"wire", "loop"}, others: []string{noise}},
	"server":        {ours: []string{"wire", "sched", "loop", "seal", "internal/disk"}},
	"internal/disk": {others: []string{xsys}},
	"internal/sim":  {ours: []string{"loop", "internal/disk"}},

	"internal/need":    {},
	"internal/own":     {},
	"internal/manager": {others: []string{systemd}},
	"internal/pcapng":  {},
	"internal/bugs":    {},
	"internal/trace":   {ours: []string{"wire", "seal", "internal/pcapng"}},

	"packaging/build": {ours: []string{"."}},

	"cmd/internal/shape":    {ours: []string{".", "wire", "sched", "icmp", "internal/trace"}},
	"cmd/internal/table":    {ours: []string{".", "wire", "sched", "internal/trace", "cmd/internal/shape", "cmd/internal/usage"}},
	"cmd/internal/progress": {ours: []string{".", "cmd/internal/table", "cmd/internal/usage"}, others: []string{xsys}},
	"cmd/internal/doctor": {
		ours:   []string{".", "wire", "icmp", "loop", "server", "seal", "cmd/internal/shape", "cmd/internal/table", "cmd/internal/usage"},
		others: []string{xsys},
	},
	"cmd/internal/halfway": {ours: []string{"."}},

	"fleet/engine":       {ours: []string{"wire"}},
	"fleet/engine/model": {ours: []string{"loop", "fleet/engine"}},
	"fleet":              {ours: []string{"wire", "loop", "seal", "server", "internal/disk", "fleet/engine"}},

	".": {ours: []string{"wire", "sched", "icmp", "loop", "seal", "internal/pcapng"}, others: []string{xsys}},
}

// joins tells the packages that may join what they like, unless they are in the table.
func joins(dir string) bool { return within(dir, []string{"cmd", "bench", "internal/lab", "fleet"}) }

// pure lists the programs without I/O: whole packages, and files of this one.
var pure = []string{"wire", "sched", "seal", "server", "internal/sim", "session.go", "sealed.go", "waiting.go", "offer.go", "names.go", "probe.go", "segments.go", "dialog.go", "size.go", "blocks.go", "verdict.go", "outcome.go", "source.go", "run.go", "kinds.go", "trace.go", "report.go", "ping.go", "pinger.go", "plan.go", "tap.go", "tap_echo.go", "internal/pcapng", "internal/trace"}

// stores are the files of a pure package that do I/O all the same.
var stores = []string{"server/memory.go", "server/memoryplace.go", "server/completed.go", "server/list.go", "server/place_dir.go", "server/place_publish.go", "server/place_sync.go", "server/place_recover.go", "server/place_resume.go", "server/dir.go", "server/spool.go", "server/assembly.go", "server/recover.go", "server/part.go", "server/writer.go", "server/sweep.go", "server/room.go", "server/usage.go"}

// excuse, behind a range over a map, says that its order cannot be seen.
const excuse = "order does not show"

// What a file, a function and a line may have: so much fits into a head, and on a screen.
// Tests are longer: tables and scenarios read better whole, and literal datagrams have the
// width that they have.
const (
	maxLines, maxTestLines = 300, 750
	maxFunc                = 70
	maxColumns, tab        = 110, 4
)

// unlimited are the functions that may be longer, with the reason.
var unlimited = map[string]string{
	"wire/message.go Parse": "the hot path of both ends: one pass over the bytes, without a call between its parts",
}

type (
	goFile struct {
		path, dir string // from the root, which is "."
		test      bool
		text      []byte
		tree      *ast.File
	}
	house struct {
		fset  *token.FileSet
		files []*goFile
		info  types.Info // of the packages that hold pure files
		known map[string]*types.Package
	}
)

func TestTidy(t *testing.T) {
	for _, p := range slices.AppendSeq(slices.Concat(pure, stores), maps.Keys(imports)) {
		if _, err := os.Stat(p); err != nil {
			t.Errorf("tidy_test.go: a rule is for nothing: %v; mend the lists at its top", err)
		}
	}
	h := open(t)
	t.Run("imports", h.imports)
	t.Run("pure", h.pure)
	t.Run("unsafe", h.unsafe)
	t.Run("size", h.size)
	t.Run("names", h.names)
	t.Run("comments", h.comments)
	t.Run("documented", h.documented)
	t.Run("place", h.place)
	t.Run("tests", h.tests)
	t.Run("fleet", h.fleet)
}

// open parses the tree. Tests run in the folder of their package, which is the root.
func open(t *testing.T) *house {
	h := &house{fset: token.NewFileSet(), known: make(map[string]*types.Package)}
	walk(t, func(name string, text []byte) {
		if !strings.HasSuffix(name, ".go") || strings.Contains(name, "testdata/") {
			return
		}
		tree, err := parser.ParseFile(h.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		h.files = append(h.files, &goFile{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), text, tree})
	})
	return h
}

// walk calls f for every regular file but git's own. A file that is gone before it is
// read was another test's.
func walk(t *testing.T, f func(name string, text []byte)) {
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" && d.IsDir() {
			return fs.SkipDir
		}
		if d != nil && d.Name() == ".git" {
			return nil // of a worktree
		}
		if err == nil && d.Type().IsRegular() {
			var text []byte
			if text, err = os.ReadFile(name); err == nil {
				f(filepath.ToSlash(name), text)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// at is a position as "file:line".
func (h *house) at(p token.Pos) string {
	q := h.fset.Position(p)
	return q.Filename + ":" + strconv.Itoa(q.Line)
}

// code calls f for every file that is no test.
func (h *house) code(f func(*goFile)) {
	for _, g := range h.files {
		if !g.test {
			f(g)
		}
	}
}

// ours gives the folder of a package of this module.
func ours(p string) (dir string, ok bool) {
	if p == "mdalp" {
		return ".", true
	}
	return strings.CutPrefix(p, "mdalp/")
}

// within reports whether a path is one of roots, or below one.
func within(p string, roots []string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return p == r || strings.HasPrefix(p, r+"/") })
}

func (h *house) imports(t *testing.T) {
	h.code(func(g *goFile) {
		may, listed := imports[g.dir]
		switch {
		case !listed && joins(g.dir):
			return
		case !listed:
			t.Errorf("%s:1: package in %s is not in the table of this test; add it with what it may import", g.path, g.dir)
			return
		}
		for _, s := range g.tree.Imports {
			p, _ := strconv.Unquote(s.Path.Value)
			dir, own := ours(p)
			first, _, _ := strings.Cut(p, "/")
			switch {
			case own && !slices.Contains(may.ours, dir):
				t.Errorf("%s: %s must not import %s; let the root package or a command join the two", h.at(s.Pos()), g.dir, p)
			case !own && strings.Contains(first, ".") && !within(p, may.others):
				t.Errorf("%s: %s must not import %s; use the standard library, or move this to a package that may", h.at(s.Pos()), g.dir, p)
			}
		}
	})
}

// What a pure program must not name, and the only names of math/rand that it may.
var (
	impure = map[string][]string{
		"time": {"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick"},
	}
	seeded    = []string{"New", "NewPCG", "NewChaCha8", "Rand", "Source", "PCG", "ChaCha8"}
	forbidden = []string{"sync", "sync/atomic", "crypto/rand", "maps"} // the functions of maps hide a range
)

func (h *house) pure(t *testing.T) {
	h.info = types.Info{Types: make(map[ast.Expr]types.TypeAndValue), Uses: make(map[*ast.Ident]types.Object)}
	h.code(func(g *goFile) {
		for _, p := range pure {
			if g.path == p || g.dir == p && !slices.Contains(stores, g.path) {
				h.load(g.dir)
				h.inspect(t, g)
			}
		}
	})
}

// Import gives packages of this module with all their types, and of any other an empty
// one: types of our own are enough to tell a map, and nothing outside must be there.
// What it cannot tell is a map that another module's function returns.
func (h *house) Import(p string) (*types.Package, error) {
	if dir, own := ours(p); own {
		return h.load(dir), nil
	}
	if h.known[p] == nil {
		h.known[p] = types.NewPackage(p, path.Base(strings.TrimSuffix(p, "/v2")))
		h.known[p].MarkComplete()
	}
	return h.known[p], nil
}

// load finds the types of a package, as it is built for Linux.
func (h *house) load(dir string) *types.Package {
	p := path.Join("mdalp", dir)
	if h.known[p] != nil {
		return h.known[p]
	}
	linux := build.Default
	linux.GOOS = "linux"
	var trees []*ast.File
	h.code(func(g *goFile) {
		if ok, _ := linux.MatchFile(dir, path.Base(g.path)); g.dir == dir && ok {
			trees = append(trees, g.tree)
		}
	})
	// Names from empty packages are errors, and are to be expected.
	cfg := types.Config{Importer: h, Error: func(error) {}}
	h.known[p], _ = cfg.Check(p, h.fset, trees, &h.info)
	return h.known[p]
}

// inspect looks for what would make a pure file depend on more than its arguments.
func (h *house) inspect(t *testing.T, g *goFile) {
	for _, s := range g.tree.Imports {
		if p, _ := strconv.Unquote(s.Path.Value); slices.Contains(forbidden, p) {
			t.Errorf("%s: import of %s in a program without I/O; it runs in one goroutine and is given its randomness as a seed", h.at(s.Pos()), p)
		}
	}
	text := bytes.Split(g.text, []byte{'\n'})
	channel := func(n ast.Node) {
		t.Errorf("%s: channel in a program without I/O; keep the state in a field", h.at(n.Pos()))
	}
	ast.Inspect(g.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: go statement in a program without I/O; only a driver may start goroutines", h.at(n.Pos()))
		case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			channel(n)
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				channel(n)
			}
		case *ast.SelectorExpr:
			x, _ := n.X.(*ast.Ident)
			used, _ := h.info.Uses[x].(*types.PkgName)
			if used == nil {
				break
			}
			p := used.Imported().Path()
			switch {
			case slices.Contains(impure[p], n.Sel.Name):
				t.Errorf("%s: %s.%s in a program without I/O; take the instant as an argument and tell the next by Next", h.at(n.Pos()), p, n.Sel.Name)
			case strings.HasPrefix(p, "math/rand") && !slices.Contains(seeded, n.Sel.Name):
				t.Errorf("%s: %s.%s uses the global source; draw from a rand.Rand made of a seed", h.at(n.Pos()), p, n.Sel.Name)
			}
		case *ast.RangeStmt:
			line := text[h.fset.Position(n.Pos()).Line-1]
			if of := h.info.TypeOf(n.X); of != nil && isMap(of) && !bytes.Contains(line, []byte("// "+excuse)) {
				t.Errorf("%s: range over a map, whose order changes from run to run; sort the keys, keep a slice, or end the line with // %s", h.at(n.Pos()), excuse)
			}
		}
		return true
	})
}

func isMap(t types.Type) bool { _, ok := t.Underlying().(*types.Map); return ok }

func (h *house) unsafe(t *testing.T) {
	lab := ""
	for _, g := range h.files {
		for _, s := range g.tree.Imports {
			switch {
			case s.Path.Value != `"unsafe"` || g.path == "loop/batch_linux.go" || g.path == "loop/control_linux.go":
			case g.dir == "internal/lab" && lab == "":
				lab = g.path
			case g.dir == "internal/lab":
				t.Errorf("%s: a second file with unsafe in the lab; move it to %s", h.at(s.Pos()), lab)
			default:
				t.Errorf("%s: unsafe; it lives in loop/batch_linux.go and loop/control_linux.go alone, use a function of golang.org/x/sys", h.at(s.Pos()))
			}
		}
	}
}

func (h *house) size(t *testing.T) {
	longer := maps.Clone(unlimited)
	for _, g := range h.files {
		most := maxLines
		if g.test {
			most = maxTestLines
		}
		text := strings.Split(string(g.text), "\n")
		if n := len(text) - 1; n > most {
			t.Errorf("%s:%d: the file ends at line %d, %d are the most; give one of its types a file of its own", g.path, most+1, n, most)
		}
		if g.test {
			continue
		}
		for i, l := range text {
			if n := utf8.RuneCountInString(l) + (tab-1)*strings.Count(l, "\t"); n > maxColumns {
				t.Errorf("%s:%d: %d columns, %d are the most (a tab is %d): wrap it", g.path, i+1, n, maxColumns, tab)
			}
		}
		for _, d := range g.tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := h.fset.Position(f.End()).Line - h.fset.Position(f.Pos()).Line + 1
			name := g.path + " " + f.Name.Name
			if _, may := unlimited[name]; n > maxFunc && !may {
				t.Errorf("%s: %s has %d lines, %d are the most; a part of it has a name of its own", h.at(f.Pos()), f.Name.Name, n, maxFunc)
			} else if n > maxFunc {
				delete(longer, name)
			}
		}
	}
	for name := range longer {
		t.Errorf("%s is no longer than others: take it from the list", name)
	}
}

func (h *house) names(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "pkg", "misc"}
	h.code(func(g *goFile) {
		parts := append(strings.Split(g.dir, "/"), g.tree.Name.Name)
		if i := slices.IndexFunc(parts, func(p string) bool { return slices.Contains(vague, p) }); i >= 0 {
			t.Errorf("%s: a package named %s; name it after what it is about", h.at(g.tree.Package), parts[i])
		}
	})
}

// comments counts, of all lines of code that are not empty, those with nothing but a
// comment.
func (h *house) comments(t *testing.T) {
	var lines, comments int
	h.code(func(g *goFile) {
		text := bytes.Split(g.text, []byte{'\n'})
		for _, l := range text {
			if len(bytes.TrimSpace(l)) > 0 {
				lines++
			}
		}
		for _, group := range g.tree.Comments {
			for _, c := range group.List {
				from, to := h.fset.Position(c.Pos()), h.fset.Position(c.End())
				if len(bytes.TrimSpace(text[from.Line-1][:from.Column-1])) == 0 {
					comments += to.Line - from.Line + 1
				}
			}
		}
	})
	share := 100 * float64(comments) / float64(lines)
	t.Logf("%d of %d lines are comments: %.1f %%", comments, lines, share)
	if share < 12 || share > 40 {
		t.Errorf("mdalp.go:1: %.1f %% of the module's lines are comments, 12 to 40 are right; say why where it is not plain, and no more", share)
	}
}

// documented looks at what a package exports: constants, variables, types, functions,
// and the methods of exported types. A name in a group is documented by its own
// comment, one at the end of its line, or the group's. Fields are left to judgement.
func (h *house) documented(t *testing.T) {
	missing := func(ids ...*ast.Ident) {
		for _, id := range ids {
			if id.IsExported() {
				t.Errorf("%s: %s has no doc comment; say what it means, its unit and its errors", h.at(id.Pos()), id.Name)
			}
		}
	}
	h.code(func(g *goFile) {
		for _, d := range g.tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Doc == nil && (d.Recv == nil || typeName(d.Recv).IsExported()) {
					missing(d.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if ty, ok := s.(*ast.TypeSpec); ok && d.Doc == nil && ty.Doc == nil && ty.Comment == nil {
						missing(ty.Name)
					}
					if v, ok := s.(*ast.ValueSpec); ok && d.Doc == nil && v.Doc == nil && v.Comment == nil {
						missing(v.Names...)
					}
				}
			}
		}
	})
}

// typeName gives the T of a receiver such as (x *T[P]): the first name of its type.
func typeName(recv *ast.FieldList) (id *ast.Ident) {
	ast.Inspect(recv.List[0].Type, func(n ast.Node) bool {
		if x, ok := n.(*ast.Ident); ok && id == nil {
			id = x
		}
		return id == nil
	})
	return id
}

// place looks for paths of the machine that a file was written on: they mean nothing to
// anybody else. The patterns are put together here so that this file holds none.
func (h *house) place(t *testing.T) {
	patterns := []string{"/" + "work/", "../" + "shared", "/tmp/" + "bash"}
	walk(t, func(name string, text []byte) {
		if bytes.IndexByte(text[:min(len(text), 8192)], 0) >= 0 {
			return // no text
		}
		for _, p := range patterns {
			if i := bytes.Index(text, []byte(p)); i >= 0 {
				t.Errorf("%s:%d: %q is a place on the writer's machine; name it from the root of the tree", name, 1+bytes.Count(text[:i], []byte{'\n'}), p)
			}
		}
	})
}

// skippers and sleepers are the files that may skip a test, or sleep, all the same, with the
// reason.
var (
	skippers = map[string]string{
		"internal/need/need.go": "the others skip by it",
		"sim_planted_test.go":   "one binary is the other's",
		"bench/peers/":          "a module of its own",
	}
	sleepers = map[string]string{
		"cmd/mdalpd/kill_linux_test.go":  "the instants at which to kill are what is drawn",
		"cmd/mdalpd/twice_linux_test.go": "the instants at which to kill are what is drawn",
		"bench/peers/":                   "what is compared is told by the clock",
		"bench/slow_linux_test.go":       "a slow disk is what is measured",
	}
)

// tests looks for tests that skip without need.Skip, and so unseen under CI=true, and for
// those that sleep: they are slow, and a busy machine makes them fail.
func (h *house) tests(t *testing.T) {
	for _, p := range slices.AppendSeq(slices.Collect(maps.Keys(skippers)), maps.Keys(sleepers)) {
		if _, err := os.Stat(p); err != nil {
			t.Errorf("tidy_test.go: an exception is for nothing: %v", err)
		}
	}
	excused := func(list map[string]string, name string) bool {
		return list[name] != "" || list[path.Dir(name)+"/"] != ""
	}
	for _, g := range h.files {
		ast.Inspect(g.tree, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok || !g.test && g.dir != "internal/need" && g.dir != "cmd/internal/script" {
				return true
			}
			x, _ := s.X.(*ast.Ident)
			switch {
			case x == nil:
			case slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) && x.Name != "need" && !excused(skippers, g.path):
				t.Errorf("%s: a test skips by itself; use need.Skip, which fails where all has to be tested", h.at(s.Pos()))
			case x.Name == "time" && s.Sel.Name == "Sleep" && !excused(sleepers, g.path):
				t.Errorf("%s: a test sleeps; wait for what it needs", h.at(s.Pos()))
			}
			return true
		})
	}
	walk(t, func(name string, text []byte) {
		if i := bytes.Index(text, []byte("\nexec sleep ")); i >= 0 && strings.HasSuffix(name, ".txtar") {
			t.Errorf("%s:%d: a script sleeps; await what it needs", name, 1+bytes.Count(text[:i], []byte{'\n'}))
		}
	})
}

// fleet says that what the fleet needs of others is its own: the root needs no engine, and
// nothing of it imports the fleet.
func (h *house) fleet(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(mod, []byte("nats")); i >= 0 {
		t.Errorf("go.mod:%d: the root needs an engine; that is for the module in fleet", 1+bytes.Count(mod[:i], []byte{'\n'}))
	}
	for _, g := range h.files {
		for _, s := range g.tree.Imports {
			p, _ := strconv.Unquote(s.Path.Value)
			if dir, own := ours(p); own && within(dir, []string{"fleet"}) && !within(g.dir, []string{"fleet"}) {
				t.Errorf("%s: %s must not import %s, which is of another module", h.at(s.Pos()), g.dir, p)
			}
		}
	}
}
