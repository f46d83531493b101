// Package cluster starts the servers that Holdfast needs around it on one machine: etcd, kube-apiserver and, for dev
// and demo, kube-controller-manager, kube-scheduler and kwok; and PostgreSQL. It knows nothing of Holdfast. It needs a Unix.
//
//	c, err := cluster.Start(ctx, cluster.Options{})            // etcd and kube-apiserver, in three seconds
//	p, err := cluster.StartPostgres(ctx, cluster.PostgresOptions{})
//
// # Model
//
// A Cluster or a Postgres owns a folder, a few ports and the processes it started. Each start begins with fresh data and
// new certificates; the restarts of a running one (RestartAPIServer, RestartEtcd, Postgres.Kill and Start) keep ports, data and
// credentials, so that clients find the same server again. Many may run at once, in one process or in several.
//
// The programs come from $KUBEBUILDER_ASSETS, a cache, the official download, or the Go modules with the local compiler: see
// Binaries. On a machine with no network but a Go module proxy the first start therefore takes minutes, and says so.
//
// # Invariants
//
//   - No process outlives the one that started it, not even when that is killed: on Linux the kernel sees to it, elsewhere a
//     shell that waits on a pipe (between the start of a server and that of its shell lies a moment without cover).
//   - Every server listens on loopback only. etcd has no authentication: whoever is on the machine reaches it.
//   - Servers inherit nothing from the environment but PATH and TMPDIR, and see no home but their own folder.
//   - A port is reserved for as long as its owner runs, towards other processes of the same user too.
//   - A folder has one owner; a second start there names the process that has it.
//   - Data survives the death of a server's process, not that of the machine: nothing is fsynced.
//
// # The simulated node
//
// In the profile Full, pods run on node-1 (8 CPUs, 32 GiB), which kwok simulates. A container whose image tag is "crash" exits
// with 1 and is restarted with a growing back-off; one whose tag is "missing" is never pulled; one whose memory limit
// is below the pod's annotation holdfast.dev/needs-memory is OOM-killed. All others are ready after 0.2 s. Pods that need
// not be restarted complete after a second. Init containers always succeed. Events of the kubelet's reasons (Started,
// BackOff, Failed) are recorded, without the names that real ones have in their messages. Everything else is real.
// The garbage collector looks for new kinds every 30 s: children of a custom resource whose definition is younger than that
// may stay so long after their owner.
//
// # How it fails
//
// A start that fails leaves nothing behind, and its error holds the end of the server's log. A server that dies later is
// not started again: its clients notice, its log (Dir/logs) says why.
package cluster
