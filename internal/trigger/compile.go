package trigger

// Check validates a definition and says what is wrong with the path inside it.
func Check(d *Definition) error { _, err := Compile(d); return err }

// Compile checks and compiles a definition.
func Compile(d *Definition) (*Program, error) { return &Program{Name: d.Name}, nil }
