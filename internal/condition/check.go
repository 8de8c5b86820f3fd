package condition

// Check validates a tree; path is where it stands, for the error message.
func Check(c *Condition, path string) error { return nil }

// Compile checks and compiles a tree. nil and the zero Condition hold always.
func Compile(c *Condition) (*Program, error) { return &Program{}, nil }
