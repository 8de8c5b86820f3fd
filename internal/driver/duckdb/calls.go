package duckdb

/*
#include <stdint.h>
typedef void *heed_ptr;
void heedHolds(heed_ptr, heed_ptr, heed_ptr);
void heedText(heed_ptr, heed_ptr, heed_ptr);
void heedNumber(heed_ptr, heed_ptr, heed_ptr);
static heed_ptr heed_call_holds(void) { return (heed_ptr)heedHolds; }
static heed_ptr heed_call_text(void) { return (heed_ptr)heedText; }
static heed_ptr heed_call_number(void) { return (heed_ptr)heedNumber; }
*/
import "C"

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"heed/internal/driver/duckdb/ask"
	"heed/internal/driver/duckdb/rows"
)

// calls are those that queries have made known.
type calls struct {
	mu sync.RWMutex
	by map[int64]*ask.Call
}

func (c *calls) add(one *ask.Call) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[int64]*ask.Call{}
	}
	n := rand.Int64() // which a statement from outside cannot guess
	c.by[n] = one
	return n
}

func (c *calls) remove(numbers []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range numbers {
		delete(c.by, n)
	}
}

func (c *calls) get(n int64) *ask.Call {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.by[n]
}

func (env *environment) registerCalls(c mapping.Connection) error {
	for _, f := range []struct {
		name     string
		returns  mapping.Type
		callback C.heed_ptr
	}{
		{ask.HoldsFunction, mapping.TypeBoolean, C.heed_call_holds()},
		{ask.TextFunction, mapping.TypeVarchar, C.heed_call_text()},
		{ask.NumberFunction, mapping.TypeDouble, C.heed_call_number()},
	} {
		function := mapping.CreateScalarFunction()
		mapping.ScalarFunctionSetName(function, f.name)
		number := mapping.CreateLogicalType(mapping.TypeBigInt)
		text := mapping.CreateLogicalType(mapping.TypeVarchar)
		result := mapping.CreateLogicalType(f.returns)
		mapping.ScalarFunctionAddParameter(function, number)
		mapping.ScalarFunctionSetVarargs(function, text)
		mapping.ScalarFunctionSetReturnType(function, result)
		mapping.ScalarFunctionSetSpecialHandling(function) // nulls are arguments like others
		mapping.ScalarFunctionSetExtraInfo(function, handle(env), dropCallback())
		mapping.ScalarFunctionSetFunction(function, unsafe.Pointer(f.callback))
		state := mapping.RegisterScalarFunction(c, function)
		for _, t := range []*mapping.LogicalType{&number, &text, &result} {
			mapping.DestroyLogicalType(t)
		}
		mapping.DestroyScalarFunction(&function)
		if state == mapping.StateError {
			return fmt.Errorf("register %s", f.name)
		}
	}
	return nil
}

// rowsOfCall runs visit over the rows that a function was called with.
func rowsOfCall(p, in C.heed_ptr, visit func(c *ask.Call, state any, row int, args []string)) {
	info := mapping.FunctionInfo{Ptr: unsafe.Pointer(p)}
	env := handled[*environment](mapping.ScalarFunctionGetExtraInfo(info))
	chunk := mapping.DataChunk{Ptr: unsafe.Pointer(in)}
	n := int(mapping.DataChunkGetSize(chunk))
	columns := int(mapping.DataChunkGetColumnCount(chunk))
	numbers := unsafe.Slice((*int64)(mapping.VectorGetData(mapping.DataChunkGetVector(chunk, 0))), n)
	texts := make([][][16]byte, columns-1)
	valid := make([][]uint64, columns-1)
	for i := range texts {
		v := mapping.DataChunkGetVector(chunk, mapping.IdxT(i+1))
		texts[i] = unsafe.Slice((*[16]byte)(mapping.VectorGetData(v)), n)
		if mask := mapping.VectorGetValidity(v); mask != nil {
			valid[i] = unsafe.Slice((*uint64)(mask), (n+63)/64)
		}
	}
	args := make([]string, columns-1)
	var c *ask.Call
	var state any
	last := int64(-1) // numbers are not negative
	for row := range n {
		if numbers[row] != last {
			if last, c, state = numbers[row], env.calls.get(numbers[row]), nil; c == nil {
				mapping.ScalarFunctionSetError(info, "no such call")
				return
			}
			if c.Begin != nil {
				state = c.Begin()
			}
		}
		for i := range args {
			args[i] = ""
			if valid[i] == nil || valid[i][row/64]>>(row%64)&1 == 1 {
				args[i] = rows.StringOf(&texts[i][row])
			}
		}
		visit(c, state, row, args)
	}
}

//export heedHolds
func heedHolds(p, in, out C.heed_ptr) {
	data := mapping.VectorGetData(mapping.Vector{Ptr: unsafe.Pointer(out)})
	rowsOfCall(p, in, func(c *ask.Call, state any, row int, args []string) {
		*(*bool)(unsafe.Add(data, row)) = c.Holds(state, args)
	})
}

//export heedNumber
func heedNumber(p, in, out C.heed_ptr) {
	data := mapping.VectorGetData(mapping.Vector{Ptr: unsafe.Pointer(out)})
	rowsOfCall(p, in, func(c *ask.Call, state any, row int, args []string) {
		*(*float64)(unsafe.Add(data, 8*row)) = c.Number(state, args)
	})
}

//export heedText
func heedText(p, in, out C.heed_ptr) {
	vector := mapping.Vector{Ptr: unsafe.Pointer(out)}
	mapping.VectorEnsureValidityWritable(vector)
	words := unsafe.Slice((*uint64)(mapping.VectorGetValidity(vector)), rows.BlockRows/64)
	rowsOfCall(p, in, func(c *ask.Call, state any, row int, args []string) {
		if text, ok := c.Text(state, args); ok {
			mapping.VectorAssignStringElement(vector, mapping.IdxT(row), text)
		} else {
			words[row/64] &^= 1 << (row % 64)
		}
	})
}
