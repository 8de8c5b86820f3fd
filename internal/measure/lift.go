package measure

import "math"

// z is that of a confidence of 95 %.
const z = 1.959963984540054

// LiftOf compares two arms. The interval is Newcombe's, made of Wilson's for each
// share: it also holds where few or none converted.
func LiftOf(treated, holdout Arm) *Lift {
	if treated.Users == 0 || holdout.Users == 0 {
		return nil
	}
	p, low, high := share(treated)
	q, under, over := share(holdout)
	return &Lift{
		Difference: p - q,
		Low:        p - q - math.Hypot(p-low, over-q),
		High:       p - q + math.Hypot(high-p, q-under),
	}
}

// share is how many of an arm converted, and Wilson's interval of it.
func share(a Arm) (p, low, high float64) {
	n := float64(a.Users)
	p = float64(a.Converted) / n
	middle := p + z*z/(2*n)
	half := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	whole := 1 + z*z/n
	return p, (middle - half) / whole, (middle + half) / whole
}
