package remediation

// WithClock replaces the system's clock.
var WithClock = withClock

// BlockedBy is the reason for which a child is waited for.
var BlockedBy = blockedBy
