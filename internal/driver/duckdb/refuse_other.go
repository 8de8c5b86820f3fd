//go:build !linux

package duckdb

import "errors"

func refuse(bool) {}

func resident() (int64, error) { return 0, errors.ErrUnsupported }
