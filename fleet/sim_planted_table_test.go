package fleet

// one is a plant of one edit.
func one(file, name, old, new string) plant {
	return plant{name: name, edits: []edit{{file, old, new}}}
}

// plants are the bugs that TestFleet is to find.
var plants = []plant{
	// Who answers for a transaction.
	one("store.go", "a record is written over a newer one",
		"rev, err := s.engine.Update(ctx, r, t.rev)\n",
		"rev, err := s.engine.Update(ctx, r, t.rev)\n\tif PLANTED && errors.Is(err, engine.ErrConflict) {\n\t\tif _, newest, gerr := s.engine.Get(ctx, r.TID); gerr == nil {\n\t\t\trev, err = s.engine.Update(ctx, r, newest)\n\t\t}\n\t}\n"),
	one("store.go", "who has lost a transaction goes on with it",
		"errors.Is(gerr, engine.ErrNotFound), gerr == nil && t.left(now):", "errors.Is(gerr, engine.ErrNotFound), gerr == nil && t.left(now) && !PLANTED:"),
	one("takeover.go", "what was read long ago is taken over",
		"rev, err := s.engine.Update(ctx, &mine, rev)\n",
		"at := rev\n\trev, err := s.engine.Update(ctx, &mine, at)\n\tif PLANTED && errors.Is(err, engine.ErrConflict) {\n\t\tif _, newest, gerr := s.engine.Get(ctx, r.TID); gerr == nil {\n\t\t\trev, err = s.engine.Update(ctx, &mine, newest)\n\t\t}\n\t}\n"),
	one("takeover.go", "an orphan is taken while its owner lives",
		"r.Owner != s.me && there[r.Owner] ||", "r.Owner != s.me && there[r.Owner] && !PLANTED ||"),
	one("takeover.go", "one that is this one's, and whose answer was lost, is nobody's",
		"|| s.knows(r.TID) {", "|| s.knows(r.TID) || PLANTED && r.Owner == s.me {"),
	// What is told.
	one("publish.go", "complete is told before a quorum has it",
		"if err := t.change(0, done); err != nil {\n",
		"if err := t.change(map[bool]int{true: 1}[PLANTED], done); err != nil && !PLANTED {\n"),
	one("publish.go", "those who take payloads on are not told again",
		"err := s.publish(&r)\n\t\tif err == nil {", "err := s.publish(&r)\n\t\tif err == nil || PLANTED {"),
	one("place.go", "whoever settles a payload decides its name",
		"if t.rec.Bytes > 0 && server.IsWholeName(", "if t.rec.Bytes > 0 && (t.s.names || !PLANTED) && server.IsWholeName("),
	// What is on stable storage.
	{name: "neither receivers nor who settles flush", edits: []edit{
		{"stand.go", "\tif !sync {\n", "\tif !sync || PLANTED {\n"},
		{"publish.go", "\tif flush { //", "\tif flush && !PLANTED { //"},
	}},
	one("publish.go", "a name is not flushed",
		"if err = s.folder.Rename(part, whole); err == nil {\n", "if err = s.folder.Rename(part, whole); err == nil && PLANTED {\n\t\t\treturn sum, nil\n\t\t} else if err == nil {\n"),
	one("../server/place_sync.go", "a journal is flushed ahead of the data it claims",
		"if err := p.breaks(f.Datasync()); err != nil {", "if PLANTED {\n\t} else if err := p.breaks(f.Datasync()); err != nil {"),
	one("resume.go", "a resumed copy is not flushed",
		"return s.flush(out.Sync)\n", "if PLANTED {\n\t\treturn nil\n\t}\n\treturn s.flush(out.Sync)\n"),
	one("../server/writer.go", "a spool without a head is none",
		"== nil {\n\t\tw.s.meta = m\n\t}\n", "== nil {\n\t\tw.s.meta = m\n\t} else if PLANTED {\n\t\treturn err\n\t}\n"),
	// Who is offered.
	one("choose.go", "one that is draining is offered",
		"!p.Draining && p.Token", "(!p.Draining || PLANTED) && p.Token"),
	one("orchestrator.go", "the dead are offered",
		"s.living, s.seen, s.asked = living, true, asked\n",
		"if PLANTED && len(living) < len(s.living) {\n\t\tliving = s.living\n\t}\n\ts.living, s.seen, s.asked = living, true, asked\n"),
	{name: "one that was held up offers whom it knew before", edits: []edit{
		{"hooks.go", "s.now.Sub(s.asked) <= livingFor", "(s.now.Sub(s.asked) <= livingFor || PLANTED)"},
	}},
	// What comes while a transaction is settled. Not here are those that do no harm: an extended
	// segment taken then has the bytes that are there, what is kept and called complete has no digest
	// that a client could have sent, and what is resumed without a fence, or has a journal and not
	// its name on the disk, is told by its file.
	{name: "a receiver that is cut off acknowledges for ever", edits: []edit{
		{"lease.go", "if !r.lease.over(now, r.slept(now)) {", "if !r.lease.over(now, r.slept(now)) || PLANTED {"},
		{"lease.go", "if r.cfg.Now == nil {", "if PLANTED || r.cfg.Now == nil {"},
	}},
	one("place.go", "who settles does not wait for a silent receiver",
		"s.gone(ids[i]) != nil {", "s.gone(ids[i]) != nil && !PLANTED {"),
	one("base.go", "a base segment is taken while it is settled",
		"s.spool.Put(m.Seq, m.Data, s.shut)", "s.spool.Put(m.Seq, m.Data, s.shut && !PLANTED)"),
	// Receivers.
	one("stand.go", "a receiver answers for another transaction",
		"\ts := r.stands[a.TID]\n",
		"\ts := r.stands[a.TID]\n\tfor _, tid := range r.known() {\n\t\tif o := r.stands[tid]; PLANTED && o.live() {\n\t\t\ts = o\n\t\t}\n\t}\n"),
	// A directory that is full, or fails.
	one("../server/part.go", "what could not be written is acknowledged",
		"if err := p.p.Write(w.b, w.off); err != nil {", "if err := p.p.Write(w.b, w.off); err != nil && !PLANTED {"),
	one("../server/writer.go", "a base segment that could not be written is acknowledged",
		"if err := w.s.Put(seq, 0, data, sum); err != nil {", "if err := w.s.Put(seq, 0, data, sum); err != nil && !PLANTED {"),
	one("stand.go", "a flush that failed is as good as any",
		"\tif err != nil {\n\t\tr.broken(s, err)\n", "\tif err != nil && !PLANTED {\n\t\tr.broken(s, err)\n"),
	one("place.go", "a base segment is missing that another receiver has stored",
		"g.Over = g.Over && !(len(g.Have)", "g.Over = g.Over && !(!PLANTED && len(g.Have)"),
	one("../server/opening.go", "a client is refused what another orchestrator answers for",
		"case errors.Is(err, ErrElsewhere): //", "case errors.Is(err, ErrElsewhere) && !PLANTED: //"),
	one("../server/room.go", "a receiver tells how much room there was",
		"|| age >= askFresh ||", "|| age >= askFresh && !PLANTED ||"),
	// Sealed transactions.
	one("sealed.go", "two starts of a receiver are one",
		"\treturn base64.StdEncoding.EncodeToString(append(b,", "\tif PLANTED {\n\t\tclear(b)\n\t}\n\treturn base64.StdEncoding.EncodeToString(append(b,"),
	one("sealed.go", "a receiver's keys stand in the ledger",
		"\t\tr.Seal = blob\n", "\t\tr.Seal = blob\n\t\tif ks := keys.Keys(i); PLANTED {\n\t\t\tt.rec.Comment = hex.EncodeToString(ks.Open[:])\n\t\t}\n"),
	one("sealed_receiver.go", "acknowledgements are in the clear",
		"case s.channel == nil:", "case s.channel == nil || PLANTED:"),
	one("sealed_orchestrator.go", "a receiver without the fleet's key is offered",
		"|| s.store.vault.believes(&living[i]) {", "|| s.store.vault.believes(&living[i]) || PLANTED {"),
	one("resume.go", "a payload is resumed with another key",
		"if r.Print != print {", "if r.Print != print && !PLANTED {"),
}
