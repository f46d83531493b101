package v1alpha1_test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

var _ = Describe("kubectl", func() {
	for k, own := range map[*kind][2]string{
		&remediationRequest:  {"TARGET", "OUTCOME"},
		&aiAnalysis:          {"RECOMMENDATION", "APPROVAL"},
		&workflowExecution:   {"WORKFLOW", "OUTCOME"},
		&notificationRequest: {"SUBJECT", "DELIVERY"},
	} {
		It("get shows what matters: "+k.name, func(ctx context.Context) {
			o := withOutbox(ctx, *k, outboxOf(3, 5, false))
			table, err := tableOf(ctx, *k, namespaceOf(o))
			Expect(err).NotTo(HaveOccurred())
			narrow, wide := []string{}, []string{}
			for _, column := range table.ColumnDefinitions {
				if column.Priority == 0 {
					narrow = append(narrow, column.Name)
				} else {
					wide = append(wide, column.Name)
				}
			}
			Expect(narrow).To(Equal([]string{"Name", "PHASE", own[0], own[1], "PENDING", "AGE"}))
			Expect(wide).To(Equal([]string{"LAST-SEQ", "PERSISTED"}))
			Expect(table.Rows).To(HaveLen(1))
			cells := map[string]any{}
			for i, column := range table.ColumnDefinitions {
				cells[column.Name] = table.Rows[0].Cells[i]
			}
			Expect(cells).To(MatchKeysOf(object{"Name": nameOf(o), "PENDING": 2, "LAST-SEQ": 5, "PERSISTED": 3}))
		})
	}

	It("knows the short names and the category", func(ctx context.Context) {
		list, err := api.Discovery().ServerResourcesForGroupVersion("holdfast.dev/v1alpha1")
		Expect(err).NotTo(HaveOccurred())
		for _, k := range kinds {
			i := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == k.plural })
			Expect(i).To(BeNumerically(">=", 0), k.plural)
			r := list.APIResources[i]
			Expect(r.Kind).To(Equal(k.name))
			Expect(r.ShortNames).To(Equal([]string{k.short}))
			Expect(r.Categories).To(Equal([]string{"holdfast"}))
			Expect(r.Namespaced).To(BeTrue())
		}
	})

	for _, k := range kinds[1:] {
		It("--field-selector finds the children of a remediation: "+k.name, func(ctx context.Context) {
			namespace := newNamespace(ctx)
			for _, name := range []string{"mine", "other"} {
				o := at(sample(k, namespace), "metadata.name", name)
				_, err := create(ctx, k, at(at(o, "spec.remediationRef.name", name), "spec.remediationRef.uid", "uid-"+name))
				Expect(err).NotTo(HaveOccurred())
			}
			for _, selector := range []fields.Selector{
				fields.OneTermEqualSelector("spec.remediationRef.name", "mine"), fields.OneTermEqualSelector("spec.remediationRef.uid", "uid-mine"),
			} {
				list, err := request{
					verb: http.MethodGet, namespace: namespace, plural: k.plural, params: map[string]string{"fieldSelector": selector.String()},
				}.do(ctx)
				Expect(err).NotTo(HaveOccurred())
				Expect(list["items"]).To(HaveExactElements(HaveKeyWithValue("metadata", HaveKeyWithValue("name", "mine"))))
			}
		})
	}

	for _, k := range kinds {
		It("explain has a text for every field, which begins with its name or says it: "+k.name, func() {
			var missing []string
			undescribed(schemaOf(k), "", &missing)
			Expect(missing).To(BeEmpty())
		})
	}
})

// standard are the fields of metav1, whose texts are Kubernetes' own.
var standard = regexp.MustCompile(`^\.(apiVersion|kind)$|\.conditions\.`)

// undescribed collects the fields without a description, and those whose description does not begin with the field's name.
func undescribed(s *schema, path string, missing *[]string) {
	for name, p := range s.Properties {
		field := path + "." + name
		if field == ".metadata" { // the API server has its own text for it
			continue
		}
		if p.Description == "" || !standard.MatchString(field) && !strings.HasPrefix(p.Description, name) {
			*missing = append(*missing, field+": "+p.Description)
		}
		undescribed(&p, field, missing)
	}
	if s.Items != nil {
		undescribed(s.Items.Schema, path, missing)
	}
	if s.AdditionalProperties != nil {
		undescribed(s.AdditionalProperties.Schema, path, missing)
	}
}

// tableOf asks for a list as kubectl get does.
func tableOf(ctx context.Context, k kind, namespace string) (*metav1.Table, error) {
	content, err := api.RESTClient().Get().AbsPath("/apis/holdfast.dev/v1alpha1/namespaces", namespace, k.plural).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	table := &metav1.Table{}
	return table, json.Unmarshal(content, table)
}
