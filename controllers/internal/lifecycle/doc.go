// Package lifecycle has the code that the four reconcilers share: the Ready condition, Events, deadlines, and the handling of
// unknown phases. The phases themselves are in the reconcilers.
package lifecycle
