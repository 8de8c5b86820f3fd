package duckdb

/*
#include <stdint.h>
typedef void *heed_ptr;
void heedHotBind(heed_ptr);
void heedHotInit(heed_ptr);
void heedHotScan(heed_ptr, heed_ptr);
void heedDrop(heed_ptr);
void heedUserID(heed_ptr, heed_ptr, heed_ptr);
void heedUserRoot(heed_ptr, heed_ptr, heed_ptr);
static heed_ptr heed_hot_bind(void) { return (heed_ptr)heedHotBind; }
static heed_ptr heed_hot_init(void) { return (heed_ptr)heedHotInit; }
static heed_ptr heed_hot_scan(void) { return (heed_ptr)heedHotScan; }
static heed_ptr heed_drop(void) { return (heed_ptr)heedDrop; }
static heed_ptr heed_user_id(void) { return (heed_ptr)heedUserID; }
static heed_ptr heed_user_root(void) { return (heed_ptr)heedUserRoot; }
static heed_ptr heed_handle(uintptr_t h) { return (heed_ptr)h; }
static uintptr_t heed_value(heed_ptr p) { return (uintptr_t)p; }
*/
import "C"

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"runtime/cgo"
	"sync/atomic"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"

	"heed/internal/driver/duckdb/ask"
	"heed/internal/driver/duckdb/rows"
)

// This file is where DuckDB calls back: the table function that scans hot rows
// and the scalar functions that read users. They copy whole vectors, which the
// driver's own function interface cannot.

// hotFunction is the table function of hot rows; the others are those of ask.
const hotFunction = "heed_hot_rows"

// environment is what the functions of one database work on.
type environment struct {
	users *users
	calls calls
	// layout is that of the hot rows that a scan with this argument sees; nil: there
	// are none.
	layout func(argument int64) *rows.Layout
	// hot pins the hot rows that a scan with this argument sees.
	hot func(argument int64) (blocks []blockRead, release func(), ok bool)
}

// blockRead is a block with the rows of it that are to be read.
type blockRead struct {
	block *rows.Block
	rows  int
}

// register makes the functions known to the database of a connection.
func (env *environment) register(ctx context.Context, conn *sql.Conn) error {
	return conn.Raw(func(driverConn any) error {
		native, err := nativeConnection(driverConn)
		if err != nil {
			return err
		}
		if err := env.registerHot(native); err != nil {
			return err
		}
		if err := env.registerScalar(native, ask.IDFunction, mapping.TypeVarchar, unsafe.Pointer(C.heed_user_id())); err != nil {
			return err
		}
		if err := env.registerScalar(native, ask.RootFunction, mapping.TypeUInteger, unsafe.Pointer(C.heed_user_root())); err != nil {
			return err
		}
		return env.registerCalls(native)
	})
}

// nativeConnection is the connection inside of the driver's: the driver has no
// accessor for it.
func nativeConnection(driverConn any) (c mapping.Connection, err error) {
	if _, ok := driverConn.(*duckdb.Conn); !ok {
		return c, fmt.Errorf("a connection of type %T", driverConn)
	}
	field := reflect.ValueOf(driverConn).Elem().FieldByName("conn")
	if !field.IsValid() || field.Type() != reflect.TypeFor[mapping.Connection]() {
		return c, errors.New("this version of the DuckDB driver keeps its connection elsewhere")
	}
	c.Ptr = field.FieldByName("Ptr").UnsafePointer()
	return c, nil
}

func (env *environment) registerHot(c mapping.Connection) error {
	f := mapping.CreateTableFunction()
	defer mapping.DestroyTableFunction(&f)
	mapping.TableFunctionSetName(f, hotFunction)
	argument := mapping.CreateLogicalType(mapping.TypeBigInt)
	mapping.TableFunctionAddParameter(f, argument)
	mapping.DestroyLogicalType(&argument)
	mapping.TableFunctionSetExtraInfo(f, handle(env), unsafe.Pointer(C.heed_drop()))
	mapping.TableFunctionSetBind(f, unsafe.Pointer(C.heed_hot_bind()))
	mapping.TableFunctionSetInit(f, unsafe.Pointer(C.heed_hot_init()))
	mapping.TableFunctionSetFunction(f, unsafe.Pointer(C.heed_hot_scan()))
	mapping.TableFunctionSupportsProjectionPushdown(f, true)
	if mapping.RegisterTableFunction(c, f) == mapping.StateError {
		return fmt.Errorf("register %s", hotFunction)
	}
	return nil
}

func (env *environment) registerScalar(c mapping.Connection, name string, returns mapping.Type, callback unsafe.Pointer) error {
	f := mapping.CreateScalarFunction()
	defer mapping.DestroyScalarFunction(&f)
	mapping.ScalarFunctionSetName(f, name)
	parameter := mapping.CreateLogicalType(mapping.TypeUInteger)
	mapping.ScalarFunctionAddParameter(f, parameter)
	mapping.DestroyLogicalType(&parameter)
	result := mapping.CreateLogicalType(returns)
	mapping.ScalarFunctionSetReturnType(f, result)
	mapping.DestroyLogicalType(&result)
	mapping.ScalarFunctionSetExtraInfo(f, handle(env), unsafe.Pointer(C.heed_drop()))
	mapping.ScalarFunctionSetFunction(f, callback)
	if mapping.RegisterScalarFunction(c, f) == mapping.StateError {
		return fmt.Errorf("register %s", name)
	}
	return nil
}

func dropCallback() unsafe.Pointer { return unsafe.Pointer(C.heed_drop()) }

// handle passes a Go value to DuckDB, which gives it back by heedDrop.
func handle(v any) unsafe.Pointer {
	return unsafe.Pointer(C.heed_handle(C.uintptr_t(cgo.NewHandle(v))))
}

func handled[T any](p unsafe.Pointer) T { return cgo.Handle(C.heed_value(C.heed_ptr(p))).Value().(T) }

//export heedDrop
func heedDrop(p C.heed_ptr) {
	h := cgo.Handle(C.heed_value(p))
	if s, ok := h.Value().(*hotScan); ok {
		s.release()
	}
	h.Delete()
}

// hotBind is what one use of the table function was bound to.
type hotBind struct {
	env      *environment
	argument int64
	layout   *rows.Layout
}

// hotScan is one run over hot rows; threads share it.
type hotScan struct {
	blocks  []blockRead
	layout  *rows.Layout
	columns []int // wanted, in the order of the output
	next    atomic.Int64
	release func()
}

//export heedHotBind
func heedHotBind(p C.heed_ptr) {
	info := mapping.BindInfo{Ptr: unsafe.Pointer(p)}
	env := handled[*environment](mapping.BindGetExtraInfo(info))
	argument := mapping.BindGetParameter(info, 0)
	bind := &hotBind{env: env, argument: mapping.GetInt64(argument)}
	mapping.DestroyValue(&argument)
	if bind.layout = env.layout(bind.argument); bind.layout == nil {
		mapping.BindSetError(info, hotFunction+": no such rows")
		return
	}
	for _, c := range bind.layout.Columns {
		t := mapping.CreateLogicalType(nativeType(c.Type))
		mapping.BindAddResultColumn(info, c.Name, t)
		mapping.DestroyLogicalType(&t)
	}
	mapping.BindSetBindData(info, handle(bind), unsafe.Pointer(C.heed_drop()))
}

//export heedHotInit
func heedHotInit(p C.heed_ptr) {
	info := mapping.InitInfo{Ptr: unsafe.Pointer(p)}
	bind := handled[*hotBind](mapping.InitGetBindData(info))
	scan := &hotScan{layout: bind.layout}
	var ok bool
	if scan.blocks, scan.release, ok = bind.env.hot(bind.argument); !ok {
		mapping.InitSetError(info, hotFunction+": no such rows")
		return
	}
	for i := range mapping.InitGetColumnCount(info) {
		scan.columns = append(scan.columns, int(mapping.InitGetColumnIndex(info, i)))
	}
	mapping.InitSetMaxThreads(info, mapping.IdxT(max(1, min(4, len(scan.blocks)/8))))
	mapping.InitSetInitData(info, handle(scan), unsafe.Pointer(C.heed_drop()))
}

//export heedHotScan
func heedHotScan(p, out C.heed_ptr) {
	scan := handled[*hotScan](mapping.FunctionGetInitData(mapping.FunctionInfo{Ptr: unsafe.Pointer(p)}))
	chunk := mapping.DataChunk{Ptr: unsafe.Pointer(out)}
	i := scan.next.Add(1) - 1
	if i >= int64(len(scan.blocks)) {
		mapping.DataChunkSetSize(chunk, 0)
		return
	}
	b := scan.blocks[i]
	for at, col := range scan.columns {
		if col >= len(scan.layout.Columns) || col < 0 {
			continue // a row id: nobody looks at its value
		}
		vector := mapping.DataChunkGetVector(chunk, mapping.IdxT(at))
		words := func() []uint64 {
			mapping.VectorEnsureValidityWritable(vector)
			return unsafe.Slice((*uint64)(mapping.VectorGetValidity(vector)), rows.BlockRows/64)
		}
		if col = b.block.Find(scan.layout, col); col < 0 { // the block is older than the column
			clear(words())
			continue
		}
		values := b.block.Values(col, b.rows)
		copy(unsafe.Slice((*byte)(mapping.VectorGetData(vector)), len(values)), values)
		b.block.Validity(col, b.rows, words)
	}
	mapping.DataChunkSetSize(chunk, mapping.IdxT(b.rows))
}

//export heedUserID
func heedUserID(p, in, out C.heed_ptr) {
	u, numbers := scalarCall(p, in)
	ids := unsafe.Slice((*[16]byte)(mapping.VectorGetData(mapping.Vector{Ptr: unsafe.Pointer(out)})), len(numbers))
	count := u.count.Load()
	for i, n := range numbers {
		if n < count { // null inputs may be anything; DuckDB ignores their results
			p, at := u.page(u.root(n))
			ids[i] = p.text[at]
		} else {
			ids[i] = [16]byte{}
		}
	}
}

//export heedUserRoot
func heedUserRoot(p, in, out C.heed_ptr) {
	u, numbers := scalarCall(p, in)
	roots := unsafe.Slice((*uint32)(mapping.VectorGetData(mapping.Vector{Ptr: unsafe.Pointer(out)})), len(numbers))
	count := u.count.Load()
	for i, n := range numbers {
		roots[i] = n
		if n < count {
			roots[i] = u.root(n)
		}
	}
}

// scalarCall is what a scalar function of one UINTEGER was called with.
func scalarCall(p, in C.heed_ptr) (*users, []uint32) {
	env := handled[*environment](mapping.ScalarFunctionGetExtraInfo(mapping.FunctionInfo{Ptr: unsafe.Pointer(p)}))
	chunk := mapping.DataChunk{Ptr: unsafe.Pointer(in)}
	n := mapping.DataChunkGetSize(chunk)
	data := mapping.VectorGetData(mapping.DataChunkGetVector(chunk, 0))
	return env.users, unsafe.Slice((*uint32)(data), int(n))
}

func nativeType(t rows.Type) mapping.Type {
	switch t {
	case rows.USmallInt:
		return mapping.TypeUSmallInt
	case rows.UInteger:
		return mapping.TypeUInteger
	case rows.BigInt:
		return mapping.TypeBigInt
	case rows.UBigInt:
		return mapping.TypeUBigInt
	case rows.Timestamp:
		return mapping.TypeTimestamp
	case rows.Boolean:
		return mapping.TypeBoolean
	case rows.Double:
		return mapping.TypeDouble
	case rows.Varchar:
	}
	return mapping.TypeVarchar
}
