package notification

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// endpoint reads the URL from the Secret. Its errors name the Secret and the key, never the value; another attempt may find them mended.
func (p *poster) endpoint(ctx context.Context, namespace string, ref *v1alpha1.SecretKeyRef) (string, error) {
	if ref == nil {
		return "", errors.New("the channel has no secretRef, expected the Secret and the key that hold its URL")
	}
	secret := &corev1.Secret{}
	if err := p.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, secret); apierrors.IsNotFound(err) {
		return "", fmt.Errorf("the Secret %q does not exist", ref.Name)
	} else if err != nil {
		return "", fmt.Errorf("the Secret %q can't be read: %s", ref.Name, reasonOf(err))
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		return "", fmt.Errorf("the Secret %q has no key %q", ref.Name, ref.Key)
	}
	u, err := url.Parse(strings.TrimSpace(string(value)))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", errors.New(notAURL(ref))
	}
	// What the dialer would find too, but not behind a proxy.
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := p.allow.checkIP(ip); err != nil {
			return "", err
		}
	}
	return u.String(), nil
}

func notAURL(ref *v1alpha1.SecretKeyRef) string {
	return fmt.Sprintf("the Secret %q, key %q: expected an http or https URL with a host", ref.Name, ref.Key)
}

// reasonOf is the API server's reason in one word, or what is known of a failure without one.
func reasonOf(err error) string {
	if reason := apierrors.ReasonForError(err); reason != "" {
		return string(reason)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "no answer in time"
	}
	return "the API server can't be reached"
}
