// Package fuzz holds the fuzz targets of packages whose own tests start servers: entries (decoding, and the way of a record to its row) and export files.
// The others are beside what they try: storage, redact, internal/quantity, controllers/aianalysis/holmesgpt, controllers/aianalysis/investigator,
// controllers/workflowexecution/condition. `make fuzz` runs all of them.
// Inputs that once broke something are kept in testdata/fuzz and run with every test.
package fuzz
