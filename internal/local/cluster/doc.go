// Package cluster runs the servers that Holdfast needs on one machine: etcd, kube-apiserver and PostgreSQL and, for dev and demo, kube-controller-manager,
// kube-scheduler and kwok. It does not depend on other packages of Holdfast. It requires Unix.
//
//	c, err := cluster.Start(ctx, cluster.Options{})            // etcd and kube-apiserver, in three seconds
//	p, err := cluster.StartPostgres(ctx, cluster.PostgresOptions{})
//
// # Model
//
// A Cluster or a Postgres owns a directory, some ports and its processes. Each start creates fresh data and new certificates. A restart of a running one
// (RestartAPIServer, RestartEtcd, Postgres.Kill and Start) keeps ports, data and credentials, so that clients can reconnect. Many clusters can run at once, in one
// process or in several.
//
// The programs come from $KUBEBUILDER_ASSETS, a cache, the official download, or the Go modules with the local compiler: see Binaries. On a machine that can reach
// only a Go module proxy, the first start takes minutes and reports its progress.
//
// # Invariants
//
//   - No server outlives the process that started it, even if that process is killed. On Linux the kernel ensures it; elsewhere a shell that waits on a pipe
//     does, except for the moment between the start of a server and of its shell.
//   - Every server listens on loopback only. etcd has no authentication, so every user of the machine can reach it.
//   - Servers inherit only PATH and TMPDIR from the environment, and their home is their own directory.
//   - A port is reserved while its owner runs, also against other processes of the same user.
//   - A directory has one owner. A second start in it fails and names the process that owns it.
//   - Data survives a crash of a server, but not of the machine: nothing is fsynced.
//
// # The simulated node
//
// In the profile Full, pods run on node-1 (8 CPUs, 32 GiB), which kwok simulates. A container with the image tag "crash" exits with 1 and is restarted with a growing
// back-off. One with the tag "missing" is never pulled. One whose memory limit is below the annotation holdfast.dev/needs-memory of its pod is OOM-killed. All others
// are ready after 0.2 s. Pods that need not be restarted complete after a second. Init containers always succeed. The events of the kubelet (Started, BackOff, Failed)
// are recorded, without the names that real ones contain. Everything else is real. The garbage collector looks for new kinds every 30 s, so children of a custom
// resource with a newer definition may outlive their owner by that time.
//
// # How it fails
//
// A failed start leaves nothing behind, and its error contains the end of the server's log. A server that dies later is not restarted: its clients notice, and
// its log (Dir/logs) has the reason.
package cluster
