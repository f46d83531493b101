// Package portforward connects to a port of a Pod through the API server, as `kubectl port-forward` does.
//
// # Model
//
// A Dialer finds a Pod, upgrades one request to its subresource portforward (a WebSocket, else SPDY), and opens a pair of streams for each connection: data, and what the kubelet says of a failure.
// Nothing listens on this machine, so nobody else of its users can connect.
//
// # How it fails
//
// When the upgraded request ends, because the Pod or the API server went away, its connections end too. The next one finds a Pod anew. A failure that the kubelet tells, such as a port on which
// nothing listens, is the error of the connection's Read, and ends the upgraded request as well.
package portforward
