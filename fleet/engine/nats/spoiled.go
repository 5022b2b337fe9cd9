package nats

import "strings"

// spoiled tells of what makes no sense in a bucket, once for each key: somebody else writes there.
func (e *Engine) spoiled(key string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, told := e.told[key]; told || len(e.told) >= mostTold {
		return
	}
	if e.told == nil {
		e.told = make(map[string]struct{})
	}
	e.told[key] = struct{}{}
	e.log.Error("what the engine has makes no sense, and is left alone; see who else may write there",
		"key", key, "error", err)
}

// mostTold is of how many keys the log tells.
const mostTold = 1000

// fresh reports whether servers tell an error for the first time on this connection: what is tried again
// is told again.
func (e *Engine) fresh(err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.errs == nil {
		e.errs = make(map[string]struct{})
	}
	before := len(e.errs)
	if before < mostTold {
		e.errs[alike(err)] = struct{}{}
	}
	return len(e.errs) > before
}

// alike is what an error has in common with those that differ from it in numbers alone, as in a time of
// day, or a port that is another one at each try.
func alike(err error) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
}
