package quantity_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/holdfast-dev/holdfast/internal/quantity"
	"github.com/holdfast-dev/holdfast/internal/testenv/alloc"
)

// costly are texts that Kubernetes takes, by how much work they make.
var costly = map[string]string{
	"a large exponent":                     "1e100000000",
	"one in capitals":                      "1E+100000000",
	"one behind zeros":                     "1e0000100000000",
	"a small exponent":                     "1e-100000000",
	"zero counts to its exponent":          "0e2000000000",
	"an exponent of more than 32 bits":     "1e4294967297",
	"an exponent of more than 64 bits":     "1e99999999999999999999999999",
	"the first exponent that is too large": "1e31",
	"and too small":                        "1e-31",
	"many digits":                          strings.Repeat("9", 65),
	"very many digits":                     strings.Repeat("9", 1<<20),
	"many decimal places":                  "0." + strings.Repeat("1", 63),
}

func TestWhatIsCostlyIsRefused(t *testing.T) {
	for name, text := range costly {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := quantity.Parse(text)
			g.Expect(err).To(MatchError(And(ContainSubstring(text[:min(len(text), 64)]), ContainSubstring("expected a quantity as in 512Mi"))))
			g.Expect(len(err.Error())).To(BeNumerically("<", 300))
			g.Expect(quantity.CheckText(text)).NotTo(Succeed())
		})
	}
}

func TestWhatIsNoQuantityIsRefused(t *testing.T) {
	for _, text := range []string{"", "lots", "1 Gi", "Mi", "1e", "1ee3", "1e3e", "1e5.5", "1,3G", "200K", "1e1e1", "16E", "-16E", "1e30", "1000E"} {
		_, err := quantity.Parse(text)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring("expected a quantity")), text)
	}
}

func TestWhatKubernetesUsesIsParsed(t *testing.T) {
	for _, text := range []string{"0", "1", "-1", "+1", "500m", "1.5", ".5", "1.", "100n", "2u", "512Mi", "1Gi", "8Ei", "9E", "1E3", "1e3", "1e+3", "12e-6", "1e-30", "1e18", "0.000000000001", "64Ti", "9223372036854775807",
		strings.Repeat("0", 63) + "1", "1e0000003"} {
		g := NewWithT(t)
		q, err := quantity.Parse(text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(q).To(Equal(resource.MustParse(text)))
		g.Expect(quantity.Check(q)).To(Succeed())
	}
}

// extremes are the accepted texts with the most digits and the largest exponents.
var extremes = []string{
	"1e-30", strings.Repeat("9", 15) + "e-30", "0." + strings.Repeat("9", 58) + "e-30", "0e30", "0e-30", "0." + strings.Repeat("0", 57) + "1e30", strings.Repeat("0", 61) + "e30",
	"9223372036854775807", "-9223372036854775807", "9.223372036854775807e18", "0." + strings.Repeat("3", 62), "7Ei", "-1n", "1e18", strings.Repeat("0", 50) + "." + strings.Repeat("1", 13),
}

func TestWhatIsAcceptedCostsLittle(t *testing.T) {
	g := NewWithT(t)
	for _, a := range extremes {
		for _, b := range extremes {
			var left, right resource.Quantity
			spent := alloc.Bytes(func() {
				var err error
				left, err = quantity.Parse(a)
				g.Expect(err).NotTo(HaveOccurred())
				right, err = quantity.Parse(b)
				g.Expect(err).NotTo(HaveOccurred())
				everything(left, right)
			})
			g.Expect(spent).To(BeNumerically("<", 256<<10), "%s and %s", a, b)
		}
	}
}

// everything is all that CEL and the actions do with two quantities.
func everything(a, b resource.Quantity) {
	_ = a.Cmp(b)
	_ = a.Equal(b)
	_, _ = a.AsInt64()
	_, _, _ = a.Sign(), a.Value(), a.AsApproximateFloat64()
	sum, difference := a.DeepCopy(), a.DeepCopy()
	sum.Add(b)
	difference.Sub(b)
	_, _, _ = a.String(), sum.String(), difference.String()
}

func TestSumsOfWhatIsAcceptedStaySmall(t *testing.T) {
	g := NewWithT(t)
	random := rand.New(rand.NewPCG(1, 2))
	sum := resource.Quantity{}
	for range 100_000 {
		q, err := quantity.Parse(extremes[random.IntN(len(extremes))])
		g.Expect(err).NotTo(HaveOccurred())
		if random.IntN(4) == 0 {
			sum.Sub(q)
		} else {
			sum.Add(q)
		}
	}
	g.Expect(quantity.Check(sum)).To(Succeed())
	g.Expect(sum.AsDec().UnscaledBig().BitLen()).To(BeNumerically("<", 400))
}

func TestCheckRefusesWhatWouldBeCostlyAndPrintsNoneOfIt(t *testing.T) {
	for _, text := range []string{"1e100000000", "1e2147483647", "0e2000000000", "1e100", "1e-2", strings.Repeat("9", 400)} {
		g := NewWithT(t)
		q := resource.MustParse(text)
		err := quantity.Check(q)
		if text == "1e-2" {
			g.Expect(err).NotTo(HaveOccurred())
			continue
		}
		g.Expect(err).To(MatchError(ContainSubstring("expected a quantity as in 512Mi")))
		g.Expect(len(err.Error())).To(BeNumerically("<", 300))
	}
}

func TestCheckInFindsQuantitiesWhereverTheTypeHasThem(t *testing.T) {
	for name, c := range map[string]struct{ content, place string }{
		"a limit":             {`{"spec":{"containers":[{"name":"a"},{"name":"b","resources":{"limits":{"memory":"1e-100000000"}}}]}}`, "spec.containers[1].resources.limits.memory"},
		"a request as number": {`{"spec":{"initContainers":[{"name":"a","resources":{"requests":{"cpu":1e40}}}]}}`, "spec.initContainers[0].resources.requests.cpu"},
		"with spaces":         {`{"spec":{"containers":[{"resources":{"limits":{"memory":" 1e-100000000 "}}}]}}`, "limits.memory"},
		"overhead":            {`{"spec":{"overhead":{"memory":"1e99"}}}`, "spec.overhead.memory"},
		"a pointer, embedded": {`{"spec":{"volumes":[{"name":"v","emptyDir":{"sizeLimit":"1e99"}}]}}`, "spec.volumes[0].emptyDir.sizeLimit"},
		"a divisor":           {`{"spec":{"containers":[{"env":[{"valueFrom":{"resourceFieldRef":{"divisor":"1e99"}}}]}]}}`, "divisor"},
		"other case":          {`{"Spec":{"Overhead":{"memory":"1e99"}}}`, "Spec.Overhead.memory"},
		"a claim's template":  {`{"spec":{"volumes":[{"ephemeral":{"volumeClaimTemplate":{"spec":{"resources":{"requests":{"storage":"1e99"}}}}}}]}}`, "requests.storage"},
		"of another form":     {`{"spec":{"containers":"1e99","overhead":["1e99"],"volumes":{"emptyDir":7}}}`, ""},
		"a text of its own":   {`{"metadata":{"annotations":{"a":"1e99"}},"spec":{"containers":[{"image":"1e99","resources":{"limits":{"memory":"1Gi","cpu":2}}}]}}`, ""},
		"nothing":             {`null`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var content any
			g.Expect(json.Unmarshal([]byte(c.content), &content)).To(Succeed())
			err := quantity.CheckIn[corev1.PodTemplateSpec](content)
			if c.place == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(And(ContainSubstring(c.place+": quantity is"), ContainSubstring("expected"))))
		})
	}
}
