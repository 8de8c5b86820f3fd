package condition

import "heed/internal/event"

// Facts are what a condition is asked about. Evaluation only reads them; text
// it looks at may alias the bytes of the event.
type Facts struct {
	Event  *event.Event // nil: event.*, properties.* and context.* are missing
	Traits []byte       // the profile's traits as a JSON object, or nil
}
