//go:build race

package backtest_test

// The race detector makes a week of 180 shoppers one of minutes.
const shoppers = 40
