// Package controllertest has the code that the test suites of the four controllers share: a fake clock, reading a trail, and failing status writes. Only
// tests import it.
//
// The suites have one vocabulary. A fixture is one spec's namespace and clock. A process is one life of a manager, driven by hand: fixture.start begins one, with options;
// process.try and process.reconcile run one reconcile, process.drive and process.run many. fixture.get reads a resource from the API server, and fixture.pass moves the clock.
package controllertest
