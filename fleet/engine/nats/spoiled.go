package nats

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
