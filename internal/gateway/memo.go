package gateway

import "sync"

// memo remembers answers, and asks for each once. An error is remembered too: it belongs to the same moment.
type memo[K comparable, V any] struct {
	mu      sync.Mutex
	answers map[K]func() (V, error)
}

func (m *memo[K, V]) get(key K, ask func() (V, error)) (V, error) {
	m.mu.Lock()
	once, there := m.answers[key]
	if !there {
		if m.answers == nil {
			m.answers = map[K]func() (V, error){}
		}
		once = sync.OnceValues(ask)
		m.answers[key] = once
	}
	m.mu.Unlock()
	return once()
}
