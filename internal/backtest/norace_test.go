//go:build !race

package backtest_test

// shoppers is how many people visit the shop in its week.
const shoppers = 180
