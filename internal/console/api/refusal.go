package api

// Refusal is an error that says what the caller is told; handlers outside of
// internal/console return it.
type Refusal struct {
	Status int
	Told   Error
}

func (r *Refusal) Error() string { return r.Told.Message }

// Fail makes a Refusal.
func Fail(status int, code, message, hint string) error {
	return &Refusal{Status: status, Told: Error{Code: code, Message: message, Hint: hint}}
}
