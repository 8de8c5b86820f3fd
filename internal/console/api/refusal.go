package api

import (
	"net/http"
	"time"
)

// Refusal is an error that says what the caller is told.
type Refusal struct {
	Status     int
	Body       Error
	RetryAfter time.Duration
}

func (f *Refusal) Error() string { return f.Body.Message }

// Fail makes one: the code is for programs, message and hint are for people.
func Fail(status int, code, message, hint string) *Refusal {
	return &Refusal{Status: status, Body: Error{Code: code, Message: message, Hint: hint}}
}

// BadRequest says that what was asked makes no sense.
func BadRequest(message, hint string) *Refusal {
	return Fail(http.StatusBadRequest, "bad_request", message, hint)
}

// NotFound says that there is no such thing.
func NotFound(message string) *Refusal {
	return Fail(http.StatusNotFound, "not_found", message, "")
}

// Bounds of lists.
const defaultLimit, maxLimit = 100, 1000

// PageSize is how many items of a list are wanted; 0 asks for the usual number.
func PageSize(n int) (int, error) {
	switch {
	case n == 0:
		return defaultLimit, nil
	case n < 0 || n > maxLimit:
		return 0, BadRequest("limit is out of range", "1 to 1000")
	}
	return n, nil
}
