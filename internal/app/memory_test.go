package app

import "testing"

func TestGoLimit(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		name string
		all  int64
		now  usage
		want int64
	}{
		{"at the start all but a reserve", 4096 * mb, usage{resident: 50 * mb, goes: 50 * mb}, (4096 - 256) * mb},
		{"what the engines leave", 4096 * mb, usage{resident: 3500 * mb, goes: 2000 * mb, live: 1200 * mb}, (4096 - 256 - 1500) * mb},
		{"not below what lives and a quarter", 4096 * mb, usage{resident: 4400 * mb, goes: 2000 * mb, live: 1500 * mb}, 1875 * mb},
		{"not below a quarter", 1024 * mb, usage{resident: 1024 * mb, goes: 100 * mb, live: 50 * mb}, 256 * mb},
	} {
		if got := goLimit(c.all, c.now); got != c.want {
			t.Errorf("%s: %d MB, want %d MB", c.name, got/mb, c.want/mb)
		}
	}
}

func TestReadMemory(t *testing.T) {
	m := readMemory()
	if m.resident < 1<<20 || m.goes < 1<<20 || m.resident > 1<<40 {
		t.Errorf("%+v: less than any process has, or more", m)
	}
}
