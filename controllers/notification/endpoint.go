package notification

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/credential"
)

// endpoint reads the URL from the Secret. Its errors name the Secret and the key, never the value; another attempt may find them fixed.
func (p *poster) endpoint(ctx context.Context, namespace string, ref *v1alpha1.SecretKeyRef) (*url.URL, error) {
	if ref == nil {
		return nil, errors.New("the channel has no secretRef, expected the Secret and the key with its URL")
	}
	secret := &corev1.Secret{}
	if err := p.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, secret); apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("the Secret %q does not exist", ref.Name)
	} else if err != nil {
		return nil, fmt.Errorf("the Secret %q cannot be read: %s", ref.Name, reasonOf(err))
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		return nil, fmt.Errorf("the Secret %q has no key %q", ref.Name, ref.Key)
	}
	u, err := readEndpoint(value, ref)
	if err != nil {
		return nil, err
	}
	// What the dialer would find too, but not behind a proxy.
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := p.allow.checkIP(ip); err != nil {
			return nil, err
		}
	}
	return u, nil
}

func readEndpoint(value []byte, ref *v1alpha1.SecretKeyRef) (*url.URL, error) {
	u, err := credential.URL(string(value))
	if err != nil {
		return nil, fmt.Errorf("the Secret %q, key %q: %w", ref.Name, ref.Key, err)
	}
	return u, nil
}

// reasonOf is the API server's reason in one word, or what is known of a failure without one.
func reasonOf(err error) string {
	if reason := apierrors.ReasonForError(err); reason != "" {
		return string(reason)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "no answer in time"
	}
	return "the API server cannot be reached"
}
