package plugin

import (
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// completions are what a shell offers. An error offers nothing.
type completions = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// maxCompletions bounds what a shell shows.
const maxCompletions = 200

func (c *cluster) completeNamespaces(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	if c.connect() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := c.clientset.CoreV1().Namespaces().List(cmd.Context(), metav1.ListOptions{Limit: pageLimit})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for i := range list.Items {
		if name := list.Items[i].Name; strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (c *cluster) completeKinds(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return c.kindNames(cmd, typed, ""), cobra.ShellCompDirectiveNoFileComp
}

func (c *cluster) kindNames(cmd *cobra.Command, typed, after string) []string {
	types, err := c.kinds(cmd.Context())
	if err != nil {
		return nil
	}
	var names []string
	for _, k := range types {
		if name := k.String(); strings.HasPrefix(name, typed) {
			names = append(names, name+after)
		}
	}
	return names
}

// completeResources offers KIND/, and then KIND/NAME.
func (c *cluster) completeResources(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	switch {
	case len(args) == 1 && !strings.Contains(args[0], "/"):
		return c.namesOf(cmd, args[0], "", typed), directive
	case len(args) > 0:
		return nil, directive
	}
	kindName, _, slash := strings.Cut(typed, "/")
	if !slash {
		return c.kindNames(cmd, typed, "/"), directive | cobra.ShellCompDirectiveNoSpace
	}
	return c.namesOf(cmd, kindName, kindName+"/", typed), directive
}

// completeOwn offers the names of one of Holdfast's own kinds.
func (c *cluster) completeOwn(resourceName string) completions {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.namesOf(cmd, resourceName+"."+ownGroup, "", typed), cobra.ShellCompDirectiveNoFileComp
	}
}

func (c *cluster) namesOf(cmd *cobra.Command, kindName, before, typed string) []string {
	k, err := c.kindOf(kindName)
	if err != nil {
		return nil
	}
	namespace, err := c.namespace()
	if err != nil {
		return nil
	}
	var names []string
	if err := c.each(cmd.Context(), k, namespace, selectors{}, func(r *resource) {
		if name := before + r.Name; len(names) < maxCompletions && strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}); err != nil {
		return nil
	}
	return names
}

// goals are what wait waits for: the phases of all of Holdfast's kinds too.
var goals = []string{
	goalDrained, goalClosed, "Pending", "Analyzing", "AwaitingApproval", "Executing", "Notifying", "Completed", "Failed", "Rejected", "TimedOut", "Cancelled",
	"Investigating", "Validating", "Verifying", "RollingBack", "Sending", "Retrying", "Sent", "PartiallySent",
}

func (c *cluster) completeGoals(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return goals, cobra.ShellCompDirectiveNoFileComp
}
