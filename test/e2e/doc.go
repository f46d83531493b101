// Package e2e runs the program as its users do, on real servers: processes, flags, rights, TLS and exit statuses.
package e2e
