package remediation

// WithClock replaces the system's clock.
var WithClock = withClock
