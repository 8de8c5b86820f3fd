package sms

import "context"

// Sweep reads the texts that have waited for their parts long enough.
func (c *Channel) Sweep(ctx context.Context) { c.sweep(ctx) }
