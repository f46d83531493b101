package rar

func (b *builder) recommendations() []Recommendation { return []Recommendation{} }
func (b *builder) compliance() []Question            { return []Question{} }
func (b *builder) narrative() Narrative {
	return Narrative{Status: NarrativeRules, Claims: []Claim{}}
}
