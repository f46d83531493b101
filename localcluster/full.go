//go:build unix

package localcluster

import "context"

func (c *Cluster) startOthers(ctx context.Context) error { return errNotYet }
