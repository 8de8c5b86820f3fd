package condition

// Program is a compiled condition. It is immutable and may be used concurrently.
type Program struct{ eval func(f *Facts) bool }

// Eval tells whether the condition holds. A nil Program holds always.
func (p *Program) Eval(f *Facts) bool { return p == nil || p.eval == nil || p.eval(f) }

// Field is a compiled field name.
type Field struct{}
