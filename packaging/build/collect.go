package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// collect puts what is the same for every architecture on the stage: man pages and
// completions, which the programs themselves write, documents, the service, and the
// dissector.
func (r *release) collect(b bundle) error {
	// Programs for the machine that builds, as those for others cannot be run to write their pages.
	here := filepath.Join(r.stage, "here")
	if err := r.compile(b, runtime.GOARCH, here); err != nil {
		return err
	}
	stage := filepath.Join(r.stage, b.name)
	man, completions := filepath.Join(stage, "man"), filepath.Join(stage, "completions")
	for _, d := range []string{man, completions, filepath.Join(stage, "doc")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, p := range b.programs {
		program := filepath.Join(here, p)
		if _, err := output(program, "man", man); err != nil {
			return err
		}
		// The names are those by which each shell looks for the script of a command.
		for shell, name := range map[string]string{"bash": p, "zsh": "_" + p, "fish": p + ".fish"} {
			text, err := output(program, "completion", shell)
			if err == nil {
				err = os.WriteFile(filepath.Join(completions, name), []byte(text+"\n"), 0o644)
			}
			if err != nil {
				return err
			}
		}
	}
	// nfpm packs files as they are, while distributions want pages compressed.
	if err := compress(man); err != nil {
		return err
	}
	for from, to := range b.docs {
		if err := copyFile(filepath.Join(r.root, from), filepath.Join(stage, "doc", to)); err != nil {
			return err
		}
	}
	if !b.unit {
		return nil
	}
	for _, unit := range []string{"mdalpd.service", "mdalpd.socket", "mdalpd.default"} {
		if err := copyFile(filepath.Join(r.root, "packaging", unit), filepath.Join(stage, unit)); err != nil {
			return err
		}
	}
	// A tree without it can be released too; config then says nothing of it to nfpm.
	dissector, err := find(r.root, "mdalp.lua")
	if err != nil {
		return err
	}
	if dissector != "" {
		return copyFile(dissector, filepath.Join(stage, "mdalp.lua"))
	}
	return nil
}

// find gives the path of the first file of that name in the tree, or "".
func find(root, name string) (path string, err error) {
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		// What an earlier run has built is no source, and would be the older one.
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "dist" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.Name() == name && d.Type().IsRegular():
			path = p
			return fs.SkipAll
		}
		return nil
	})
	return path, err
}
