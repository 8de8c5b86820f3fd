package measure_test

import (
	"math"
	"testing"

	"heed/internal/measure"
)

// The intervals are those that Newcombe's paper of 1998 prints for his method 10.
func TestLift(t *testing.T) {
	arm := func(converted, users int64) measure.Arm { return measure.Arm{Users: users, Converted: converted} }
	for _, c := range []struct {
		treated, holdout      measure.Arm
		difference, low, high float64
	}{
		{arm(56, 70), arm(48, 80), 0.2, 0.0524, 0.3339},
		{arm(9, 10), arm(3, 10), 0.6, 0.1705, 0.8090},
		{arm(5, 56), arm(0, 29), 0.0893, -0.0381, 0.1926},
		{arm(0, 10), arm(0, 20), 0, -0.1611, 0.2775},
		{arm(10, 10), arm(0, 10), 1, 0.6075, 1},
	} {
		got := measure.LiftOf(c.treated, c.holdout)
		near := func(a, b float64) bool { return math.Abs(a-b) < 0.0001 }
		if !near(got.Difference, c.difference) || !near(got.Low, c.low) || !near(got.High, c.high) {
			t.Errorf("%+v and %+v: %+v, want %v from %v to %v", c.treated, c.holdout, *got, c.difference, c.low, c.high)
		}
	}
	if measure.LiftOf(arm(0, 0), arm(1, 2)) != nil || measure.LiftOf(arm(1, 2), arm(0, 0)) != nil {
		t.Error("nobody was compared with somebody")
	}
}
