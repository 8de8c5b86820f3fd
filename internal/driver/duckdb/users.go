package duckdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"heed/internal/driver/duckdb/rows"
	"heed/internal/varint"
)

// errDamaged says that a file is not what was written.
var errDamaged = errors.New("duckdb: damaged file")

// usersPage is how many users a page has.
const usersPage = 4096

// users gives each profile id a small number, which is what rows carry, and
// remembers which number has become which (merges). Numbers are dense and never
// change. One goroutine at a time writes; reading by number needs no lock, also
// from within a query, because texts stand outside of Go's heap and stay there.
type users struct {
	pages  atomic.Pointer[[]*userPage]
	count  atomic.Uint32
	merges atomic.Uint32 // how many there were

	slots   []uint64 // hash's upper half, number + 1
	texts   [][]byte
	used    int
	bytes   int64
	pending []merge // not in the file yet
	saved   uint32  // numbers that are in the file
}

type userPage struct {
	text [usersPage][16]byte // as DuckDB has strings
	into [usersPage]atomic.Uint32
}

// merge says that what was from is to.
type merge struct{ from, to uint32 }

func newUsers() *users {
	u := &users{slots: make([]uint64, 1024)}
	u.pages.Store(new([]*userPage))
	return u
}

func (u *users) free() error {
	var errs []error
	for _, p := range *u.pages.Load() {
		errs = append(errs, unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p))))
	}
	for _, t := range u.texts {
		errs = append(errs, unix.Munmap(t))
	}
	u.pages.Store(new([]*userPage))
	return errors.Join(errs...)
}

func (u *users) page(n uint32) (*userPage, uint32) {
	return (*u.pages.Load())[n/usersPage], n % usersPage
}

// id is the text of a number that was given.
func (u *users) id(n uint32) string {
	p, i := u.page(n)
	return rows.StringOf(&p.text[i])
}

// root is what a number has become.
func (u *users) root(n uint32) uint32 {
	for {
		p, i := u.page(n)
		to := p.into[i].Load()
		if to == 0 {
			return n
		}
		n = to - 1
	}
}

// find looks a profile id up.
func (u *users) find(id string) (uint32, bool) {
	n, _ := u.slot(id, xxhash.Sum64String(id))
	return n - 1, n != 0
}

// slot is where the id is (n is its number + 1) or would be (n is 0).
func (u *users) slot(id string, hash uint64) (n uint32, at int) {
	mask := uint64(len(u.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := u.slots[i]
		if s == 0 {
			return 0, int(i)
		}
		if s>>32 == hash>>32 && u.id(uint32(s)-1) == id {
			return uint32(s), int(i)
		}
	}
}

// number gives the profile id its number.
func (u *users) number(id string) (uint32, error) {
	hash := xxhash.Sum64String(id)
	n, at := u.slot(id, hash)
	if n != 0 {
		return n - 1, nil
	}
	n = u.count.Load()
	if n%usersPage == 0 {
		mem, err := rows.Map(int(unsafe.Sizeof(userPage{})))
		if err != nil {
			return 0, err
		}
		pages := *u.pages.Load()
		pages = append(slices.Clip(pages), (*userPage)(unsafe.Pointer(&mem[0])))
		u.pages.Store(&pages)
	}
	if len(id) > rows.InlineText && (len(u.texts) == 0 || len(u.texts[len(u.texts)-1])-u.used < len(id)) {
		mem, err := rows.Map(max(rows.TextBytes, len(id)))
		if err != nil {
			return 0, err
		}
		u.texts, u.used = append(u.texts, mem), 0
	}
	p, i := u.page(n)
	rows.WriteString(p.text[i][:], id, func(id string) unsafe.Pointer {
		last := u.texts[len(u.texts)-1]
		at := u.used
		u.used += copy(last[at:], id)
		return unsafe.Pointer(&last[at])
	})
	u.slots[at] = hash>>32<<32 | uint64(n+1)
	u.count.Store(n + 1)
	u.reserve(int(n + 1))
	return n, nil
}

// reserve makes room for so many users.
func (u *users) reserve(n int) {
	size := len(u.slots)
	for n*5 > size*3 {
		size *= 2
	}
	if size == len(u.slots) {
		return
	}
	old := u.slots
	u.slots = make([]uint64, size)
	mask := uint64(len(u.slots) - 1)
	for _, s := range old {
		if s == 0 {
			continue
		}
		i := xxhash.Sum64String(u.id(uint32(s)-1)) & mask
		for u.slots[i] != 0 {
			i = (i + 1) & mask
		}
		u.slots[i] = s
	}
}

// merge lets one user be another from now on, its past included. From and to
// being the same takes that back.
func (u *users) merge(from, to uint32) {
	if from == to {
		p, i := u.page(from)
		if p.into[i].Swap(0) != 0 {
			u.pending = append(u.pending, merge{from, from})
		}
		return
	}
	from, to = u.root(from), u.root(to)
	if from == to {
		return
	}
	p, i := u.page(from)
	p.into[i].Store(to + 1)
	u.merges.Add(1)
	u.pending = append(u.pending, merge{from, to})
}

// block is what the file lacks, as one record of it; nil if it lacks nothing.
func (u *users) block(until uint32, merges []merge) []byte {
	if u.saved == until && len(merges) == 0 {
		return nil
	}
	b := make([]byte, 8)
	b = binary.AppendUvarint(b, uint64(until-u.saved))
	for n := u.saved; n < until; n++ {
		id := u.id(n)
		b = append(binary.AppendUvarint(b, uint64(len(id))), id...)
	}
	b = binary.AppendUvarint(b, uint64(len(merges)))
	for _, m := range merges {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(m.from)), uint64(m.to))
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-8))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // constant table

// readBlock cuts the first record of b, if it is whole.
func readBlock(b []byte) (payload []byte, n int, ok bool) {
	if len(b) < 8 {
		return nil, 0, false
	}
	n = 8 + int(binary.LittleEndian.Uint32(b))
	if n > len(b) || crc32.Checksum(b[8:n], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0, false
	}
	return b[8:n], n, true
}

// load reads what was written: the same records in every copy, so that a
// damaged one is read from another.
func (u *users) load(size int64, copies []string) error {
	blocks, err := readBlocks(size, copies)
	if err != nil {
		return err
	}
	ids := 0
	for _, b := range blocks {
		r := varint.NewReader(b)
		ids += r.Count(1)
	}
	u.reserve(ids)
	for _, b := range blocks {
		if err := u.take(b); err != nil {
			return err
		}
	}
	u.saved, u.bytes, u.pending = u.count.Load(), size, nil
	return nil
}

// readBlocks are the records that the first size bytes have. A copy is read when
// those before it are damaged.
func readBlocks(size int64, copies []string) (blocks [][]byte, err error) {
	var files [][]byte
	for at := 0; int64(at) < size; {
		payload, n, ok := []byte(nil), 0, false
		for i := 0; i < len(copies) && !ok; i++ {
			if i == len(files) {
				b, err := os.ReadFile(copies[i])
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					return nil, fmt.Errorf("read users: %w", err)
				}
				files = append(files, b[:min(int64(len(b)), size)])
			}
			payload, n, ok = readBlock(files[i][min(at, len(files[i])):])
		}
		if !ok {
			return nil, fmt.Errorf("%w: users at byte %d of %d, in every copy", errDamaged, at, size)
		}
		blocks, at = append(blocks, payload), at+n
	}
	return blocks, nil
}

// take adds what a record has.
func (u *users) take(payload []byte) error {
	r := varint.NewReader(payload)
	for range r.Count(1) {
		id := r.String()
		if r.Bad() {
			break
		}
		if _, err := u.number(id); err != nil {
			return err
		}
	}
	for range r.Count(2) {
		from, to := r.Uvarint(), r.Uvarint()
		if known := uint64(u.count.Load()); r.Bad() || from >= known || to >= known {
			r.Fail()
			break
		}
		u.merge(uint32(from), uint32(to))
	}
	if r.Bad() {
		return fmt.Errorf("%w: a record of users", errDamaged)
	}
	return nil
}

// all is the numbers that are one user today. It looks at every one.
func (u *users) all(root uint32) []uint32 {
	if u.merges.Load() == 0 {
		return []uint32{root}
	}
	return u.allOf(map[uint32]bool{root: true})
}

// allOf is the numbers that are these users today. It looks at every one.
func (u *users) allOf(roots map[uint32]bool) (out []uint32) {
	for n := range u.count.Load() {
		if roots[u.root(n)] {
			out = append(out, n)
		}
	}
	return out
}
