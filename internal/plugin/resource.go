package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// resource is the part of a resource that every kind with an outbox has. What is not of the expected shape counts as absent: the schema of another operator's status is its own.
type resource struct {
	kind kind
	metadata
	phase      string
	conditions []metav1.Condition
	outbox     *outboxapi.Outbox
	// text is the whole resource, where it was read alone.
	text []byte
}

type metadata struct {
	Name              string                  `json:"name"`
	Namespace         string                  `json:"namespace"`
	UID               types.UID               `json:"uid"`
	CreationTimestamp metav1.Time             `json:"creationTimestamp"`
	DeletionTimestamp *metav1.Time            `json:"deletionTimestamp"`
	Finalizers        []string                `json:"finalizers"`
	OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`
	Generation        int64                   `json:"generation"`
}

// wire is a resource as the API server sends it.
type wire struct {
	Metadata metadata `json:"metadata"`
	Status   struct {
		Phase      json.RawMessage `json:"phase"`
		Conditions json.RawMessage `json:"conditions"`
		Outbox     json.RawMessage `json:"outbox"`
	} `json:"status"`
}

func (w *wire) resource(k kind) *resource {
	r := &resource{kind: k, metadata: w.Metadata}
	for part, into := range map[*json.RawMessage]any{&w.Status.Phase: &r.phase, &w.Status.Conditions: &r.conditions, &w.Status.Outbox: &r.outbox} {
		if len(*part) > 0 {
			_ = json.Unmarshal(*part, into) // another shape counts as absent
		}
	}
	return r
}

// ref is what people type: remediationrequest.holdfast.dev/cart-crash.
func (r *resource) ref() string { return r.kind.String() + "/" + r.Name }

// named are the words of a command that is about the resource.
func (r *resource) named() string { return named(r.ref(), r.Namespace) }

func named(ref, namespace string) string {
	if namespace == "" {
		return quoted(ref)
	}
	return quoted(ref) + " -n " + quoted(namespace)
}

func (r *resource) terminating() bool { return r.DeletionTimestamp != nil }

// held reports whether the outbox's finalizer keeps a resource that is being deleted.
func (r *resource) held() bool {
	return r.terminating() && slices.Contains(r.Finalizers, outbox.Finalizer)
}

// condition returns a condition that is True, else nil.
func (r *resource) condition(name string) *metav1.Condition {
	if c := meta.FindStatusCondition(r.conditions, name); c != nil && c.Status == metav1.ConditionTrue {
		return c
	}
	return nil
}

func (r *resource) pending() int {
	if r.outbox == nil {
		return 0
	}
	return len(r.outbox.Entries)
}

func (r *resource) closed() bool { return r.outbox != nil && r.outbox.Closed }

// oldest is when the oldest pending entry was recorded, as its text says.
func (r *resource) oldest() time.Time {
	texts := entry.PendingOf(r.UID, r.outbox).Texts()
	if len(texts) == 0 {
		return time.Time{}
	}
	recorded, _ := entry.RecordedTime(texts[0])
	return recorded.Time
}

// Pages have at most pageLimit resources, the first has firstPage. A resource may have a megabyte, so the size of a page decides on the next one's number: about pageBytes.
const (
	pageLimit = 500
	firstPage = 50
	pageBytes = 8 << 20
)

// raw is the body of an answer. Its errors say what the API server said, which those of Result.Raw do not.
func raw(ctx context.Context, request *rest.Request) ([]byte, error) {
	answer := request.Do(ctx)
	if err := answer.Error(); err != nil {
		return nil, err
	}
	return answer.Raw()
}

// selectors choose resources, in the API server.
type selectors struct{ labels, fields string }

// each hands every resource of a kind to visit, page by page. The resource and its texts are the visitor's only until it returns.
func (c *cluster) each(ctx context.Context, k kind, namespace string, by selectors, visit func(*resource)) error {
	return eachOf(ctx, c, k, namespace, by, func(w *wire) { visit(w.resource(k)) })
}

// eachOf is each with as much of a resource as T has.
func eachOf[T any](ctx context.Context, c *cluster, k kind, namespace string, by selectors, visit func(*T)) error {
	limit, next := firstPage, ""
	for {
		request := c.clientset.Discovery().RESTClient().Get().AbsPath(k.path(namespace)).Param("limit", strconv.Itoa(limit))
		if by.labels != "" {
			request = request.Param("labelSelector", by.labels)
		}
		if by.fields != "" {
			request = request.Param("fieldSelector", by.fields)
		}
		if next != "" {
			request = request.Param("continue", next)
		}
		text, err := raw(ctx, request)
		if err != nil {
			return fmt.Errorf("list %s: %w", k.GroupResource(), err)
		}
		var page struct {
			Metadata metav1.ListMeta `json:"metadata"`
			Items    []T             `json:"items"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return fmt.Errorf("list %s: the answer is no list of resources", k.GroupResource())
		}
		for i := range page.Items {
			visit(&page.Items[i])
		}
		if next = page.Metadata.Continue; next == "" {
			return nil
		}
		limit = min(pageLimit, max(1, limit*pageBytes/len(text)))
	}
}

// read gets one resource, with its whole text.
func (c *cluster) read(ctx context.Context, k kind, namespace, name string) (*resource, error) {
	text, err := raw(ctx, c.clientset.Discovery().RESTClient().Get().AbsPath(k.path(namespace), name))
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", k, name, err)
	}
	w := &wire{}
	if err := json.Unmarshal(text, w); err != nil {
		return nil, fmt.Errorf("read %s/%s: the answer is no resource", k, name)
	}
	r := w.resource(k)
	r.text = text
	return r, nil
}

// get reads the resource that arguments name, as KIND/NAME or KIND NAME. If there is none, the error names those that are near.
func (c *cluster) get(ctx context.Context, args []string) (*resource, error) {
	k, namespace, name, err := c.named(args)
	if err != nil {
		return nil, err
	}
	return c.find(ctx, k, namespace, name)
}

// named is the kind, the namespace (none of a kind that is in none) and the name of the resource that arguments name.
func (c *cluster) named(args []string) (k kind, namespace, name string, err error) {
	kindName, name, err := splitName(args)
	if err != nil {
		return k, "", "", err
	}
	if k, err = c.kindOf(kindName); err != nil || !k.namespaced {
		return k, "", name, err
	}
	namespace, err = c.namespace()
	return k, namespace, name, err
}

// find is get of a kind that is known.
func (c *cluster) find(ctx context.Context, k kind, namespace, name string) (*resource, error) {
	r, err := c.read(ctx, k, namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, c.absent(ctx, k, namespace, name)
	}
	if err == nil && r.outbox == nil {
		return nil, fmt.Errorf("%s has no status.outbox: KIND is one without an outbox, or no manager has worked on the resource; `%s` shows the resources with one", r.ref(), c.verb("list"))
	}
	return r, err
}

// absent is the error of a name that nobody has.
func (c *cluster) absent(ctx context.Context, k kind, namespace, name string) error {
	var near []string
	err := c.each(ctx, k, namespace, selectors{}, func(r *resource) {
		if len(near) < 5 && similar(r.Name, name) {
			near = append(near, r.Name)
		}
	})
	where := ""
	if k.namespaced {
		where = fmt.Sprintf(" in the namespace %q", namespace)
	}
	missing := fmt.Errorf("no %s has the name %q%s", k, name, where)
	switch {
	case err != nil || len(near) == 0:
		return fmt.Errorf("%w; `%s` shows those that exist, and -n chooses another namespace", missing, c.verb("list "+k.String()+" -A"))
	default:
		return fmt.Errorf("%w; did you mean %s?", missing, orList(near))
	}
}
