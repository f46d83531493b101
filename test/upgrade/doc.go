// Package upgrade tests docs/upgrading.md: an installation of the release before is upgraded to this one and back, with entries pending in its resources, and loses none.
package upgrade
