package server

import "mdalp/internal/disk"

// Sync implements [Place]. The data are flushed first, and their file's name, and only then does
// the journal say that they are: it is never ahead of them. Segments may come meanwhile.
func (p *dirPlace) Sync() error {
	if p.broken != nil {
		if p.astray {
			p.correct()
		}
		return p.broken
	}
	if err := p.renew(); err != nil {
		return err
	}
	p.mu.Lock()
	// What a former process said to be flushed, it may not have brought to the disk.
	if p.fresh.n == 0 && (p.lasting || p.stable.n == 0) {
		p.mu.Unlock()
		return nil
	}
	if p.bare {
		p.mu.Unlock()
		if err := p.makeJournal(); err != nil {
			return err
		}
		p.mu.Lock()
	}
	p.fresh, p.flushing = p.flushing, p.fresh
	err := p.opened()
	f, j := p.part, p.journal
	p.mu.Unlock()
	if err != nil {
		p.unflushed()
		return err
	}
	if err := p.breaks(f.Datasync()); err != nil {
		return err
	}
	if !p.lasting { // a journal without its payload would be believed of the next file of that name
		if err := p.breaks(p.d.f.Flush()); err != nil {
			return err
		}
		p.lasting = true
	}
	var b []byte
	for _, r := range p.flushing.rs {
		b = p.seals.appendStable(b, r)
		p.stable.put(r)
	}
	p.mu.Lock()
	at := p.end
	p.end += int64(len(b)) // what is taken goes behind it
	p.mu.Unlock()
	if _, err := j.WriteAt(b, at); err != nil {
		// What is there now is no entry. What was taken is there as such.
		p.unflushed()
		return err
	}
	p.flushing.clear()
	if err := p.breaks(j.Datasync()); err != nil {
		return err
	}
	if p.length() >= p.most {
		p.rewrite() // else it is tried again, and the old one is as good
	}
	return nil
}

func (p *dirPlace) length() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// unflushed takes back what a flush that did not come about was for.
func (p *dirPlace) unflushed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.flushing.rs {
		p.fresh.put(r)
	}
	p.flushing.clear()
}

// rewrite writes the journal anew, as short as can be, and puts it in the place of the old
// one. Both say the same of what is stable, so that it does not matter which of them a loss
// of power leaves.
func (p *dirPlace) rewrite() error {
	name := p.name(rewriteSuffix)
	p.d.f.Remove(name) // one that was not finished
	j, err := p.d.f.Make(name, 0o600)
	if err != nil {
		return err
	}
	b := p.compact()
	if _, err = j.WriteAt(b, 0); err == nil {
		err = j.Sync()
	}
	if err == nil {
		err = p.swap(&j, int64(len(b)))
	}
	if j != nil { // the old one, or one that is for nothing
		j.Close()
	}
	if err != nil {
		p.d.f.Remove(name)
		return err
	}
	return p.d.f.Flush()
}

// head appends the head of the journal to b, which is empty.
func (p *dirPlace) head(b []byte) []byte {
	return tellFile(appendJournalHead(b, &p.meta, p.size), p.id)
}

// compact is a journal of what is stable.
func (p *dirPlace) compact() []byte {
	b := p.head(make([]byte, 0, journalHead+entryBytes*p.stable.len()))
	for _, r := range p.stable.rs {
		b = p.seals.appendStable(b, r)
	}
	return b
}

// swap adds what was taken meanwhile, and takes the new journal in place of the old one,
// which it gives back. Nothing can be taken while it does.
func (p *dirPlace) swap(j *disk.File, end int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scratch = p.scratch[:0]
	for _, r := range p.fresh.rs {
		p.scratch = p.seals.appendTaken(p.scratch, r)
	}
	if _, err := (*j).WriteAt(p.scratch, end); err != nil {
		return err
	}
	if err := p.d.f.Replace(p.name(rewriteSuffix), p.name(journalSuffix)); err != nil {
		return err
	}
	p.journal, *j = *j, p.journal
	p.end = end + int64(len(p.scratch))
	p.most = p.end + journalMost
	return nil
}
