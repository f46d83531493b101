// Package fuzz holds the fuzz targets of packages whose own tests start servers: entries (decoding, and the way of a record to its row) and export files.
// The others stand beside what they try: storage, redact, controllers/aianalysis/holmesgpt, controllers/aianalysis/investigator. `make fuzz` runs all of them.
// Inputs that once broke something are kept in testdata/fuzz and run with every test.
package fuzz
