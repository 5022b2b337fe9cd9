package mdalp

// onDisk is a plant that TestSwarmDisk is to find.
func onDisk(dir, name string, edits ...edit) plant {
	return plant{dir: dir, name: name, edits: edits, swarm: "TestSwarmDisk"}
}

// plantsDisk are the bugs of a store that the loss of power shows, or the death of the
// process.
var plantsDisk = []plant{
	onDisk("server/place_publish.go", "a payload is not flushed before it has its name",
		edit{"p.breaks(f.Sync())", "p.breaks(func() error {\n\t\tif PLANTED {\n\t\t\treturn nil\n\t\t}\n\t\treturn f.Sync()\n\t}())"}),
	onDisk("server/place_publish.go", "a payload has its name before it is flushed",
		edit{"\t\treturn ErrDamaged\n\t}\n\tf, err := p.file()\n\tif err != nil {\n\t\treturn err\n\t}\n", "\t\treturn ErrDamaged\n\t}\n\tf, err := p.file()\n\tif err != nil {\n\t\treturn err\n\t}\n\tif PLANTED {\n\t\tp.path = p.d.f.Full(p.final())\n\t\tif err := p.d.f.Rename(p.name(partSuffix), p.final()); err != nil {\n\t\t\treturn err\n\t\t}\n\t\treturn f.Sync()\n\t}\n"}),
	onDisk("server/place_publish.go", "the directory is not flushed after the name is given",
		edit{"\terr = p.d.f.Flush()\n", "\tif !PLANTED {\n\t\terr = p.d.f.Flush()\n\t}\n"}),
	onDisk("server/place_dir.go", "what was taken is believed after a loss of power",
		edit{"newSealer(m.TID, d.boot)", "newSealer(m.TID, map[bool]string{false: d.boot}[PLANTED])"}),
	onDisk("server/place_sync.go", "the journal is ahead of its data",
		edit{"p.breaks(f.Datasync())", "p.breaks(func() error {\n\t\tif PLANTED {\n\t\t\treturn nil\n\t\t}\n\t\treturn f.Datasync()\n\t}())"},
		edit{"\tp.flushing.clear()\n\tif err := p.breaks(j", "\tp.flushing.clear()\n\tif PLANTED {\n\t\tp.broken = f.Datasync()\n\t}\n\tif err := p.breaks(j"}),
	onDisk("server/place_sync.go", "the journal is not flushed",
		edit{"p.breaks(j.Datasync())", "p.breaks(func() error {\n\t\tif PLANTED {\n\t\t\treturn nil\n\t\t}\n\t\treturn j.Datasync()\n\t}())"}),
	onDisk("server/place_sync.go", "a journal is flushed and its name is not",
		edit{"if !p.lasting {", "if !p.lasting && !PLANTED {"}),
	onDisk("server/place_sync.go", "a journal that is written anew is not flushed",
		edit{"\t\terr = j.Sync()\n", "\t\tif !PLANTED {\n\t\t\terr = j.Sync()\n\t\t}\n"}),
	onDisk("server/place_broken.go", "a journal still tells of what a failed flush was about",
		edit{"\t\t\tclear(entry)\n", "\t\t\tif !PLANTED {\n\t\t\t\tclear(entry)\n\t\t\t}\n"}),
	onDisk("server/place_broken.go", "what a former process had taken is not written anew",
		edit{"\tfor _, r := range rs {\n", "\tfor _, r := range rs {\n\t\tif PLANTED {\n\t\t\tbreak\n\t\t}\n"}),
	onDisk("server/place_broken.go", "what a former process called flushed is not said anew",
		edit{"\tfor _, r := range p.stable.rs {\n\t\tp.fresh.put(r)\n\t}\n\tp.stable.clear()\n", "\tif !PLANTED {\n\t\tfor _, r := range p.stable.rs {\n\t\t\tp.fresh.put(r)\n\t\t}\n\t\tp.stable.clear()\n\t}\n"}),
	onDisk("server/place_publish.go", "what a former process had taken is hashed before it is written anew",
		edit{"\tif err := p.renew(); err != nil {\n", "\tif err := error(nil); PLANTED {\n\t} else if err = p.renew(); err != nil {\n"}),
	onDisk("server/place_resume.go", "a journal is believed that could not be corrected",
		edit{"if !d.isAstray(from) {", "if PLANTED || !d.isAstray(from) {"}),
	onDisk("server/place_resume.go", "the old journal goes before the payload has its new name for good",
		edit{"if p.lasting = d.f.Flush() == nil; p.lasting {", "if p.lasting = PLANTED || d.f.Flush() == nil; p.lasting {"}),
	onDisk("server/assembly.go", "a payload that is put together is not flushed",
		edit{"\t\terr = out.Sync()\n", "\t\tif !PLANTED {\n\t\t\terr = out.Sync()\n\t\t}\n"}),
	onDisk("server/spool.go", "a spool goes before the payload has its name for good",
		edit{"if err := s.d.f.Flush(); err != nil {\n\t\ts.Keep()", "if PLANTED {\n\t\ts.Discard()\n\t\treturn s.published, nil\n\t}\n\tif err := s.d.f.Flush(); err != nil {\n\t\ts.Keep()"}),
	onDisk("server/record.go", "a torn record is taken for a segment",
		edit{"stamp(scratch, tid, seq, r.Length, r.Receiver, r.Sum) == binary.BigEndian.Uint32(b[4:])", "(PLANTED || stamp(scratch, tid, seq, r.Length, r.Receiver, r.Sum) == binary.BigEndian.Uint32(b[4:]))"}),
	onDisk("server/journal.go", "a torn entry is believed",
		edit{"ok = r.Last >= r.First && crc32", "ok = r.Last >= r.First && PLANTED || r.Last >= r.First && crc32"}),
}

// plantsSink are bugs of what nobody reads. The simulation has no outputs: tests of their own
// are to find them.
var plantsSink = []plant{
	{name: "a sink that nobody reads takes all there is", dir: "sink.go", swarm: "TestSinkStuck", inner: true,
		edits: []edit{{"return len(s.wait)+s.taken >= s.room", "return len(s.wait)+s.taken >= s.room && !PLANTED"}}},
	{name: "a full sink is written to all the same", dir: "tap.go", swarm: "TestTapFull", inner: true,
		edits: []edit{{"if t.full != nil && t.full() {", "if t.full != nil && t.full() && !PLANTED {"}}},
}
