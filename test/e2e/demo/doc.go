// Package demo holds the tests of `holdfast demo` as its users see it: a process that starts servers, prints, ends with a status, and leaves nothing behind.
package demo
