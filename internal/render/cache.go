package render

import "sync"

// Cache keeps parsed templates by their source. It may be used concurrently.
type Cache struct {
	mu    sync.RWMutex
	limit int
	items map[cacheKey]*Template
}

type cacheKey struct {
	source string
	mode   Mode
}

// NewCache makes a cache of at most limit templates.
func NewCache(limit int) *Cache {
	return &Cache{limit: max(limit, 1), items: make(map[cacheKey]*Template)}
}

// Parse is Parse, once per source. Templates that do not parse are not kept.
func (c *Cache) Parse(source string, mode Mode) (*Template, error) {
	k := cacheKey{source, mode}
	c.mu.RLock()
	t := c.items[k]
	c.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	t, err := Parse(source, mode)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.items) >= c.limit { // sources change rarely: starting over is enough
		clear(c.items)
	}
	c.items[k] = t
	return t, nil
}
