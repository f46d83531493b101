package command

// Program is the program that has the commands.
type Program struct {
	// Version is recorded in exports, and sent to the report service.
	Version string
}

// ExitError carries the exit status of a command that has said all it had to say.
type ExitError struct {
	Code int
	Err  error
}

// Error implements error.
func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns what Err wraps.
func (e *ExitError) Unwrap() error { return e.Err }
