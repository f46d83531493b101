package quantity

import (
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

var quantityType = reflect.TypeFor[resource.Quantity]()

// CheckIn looks at every text of content that decoding it as a T would parse as a quantity. content is decoded JSON: maps by name, slices, texts and numbers.
// The error names the place. What does not have the form of T is passed over: decoding says so.
func CheckIn[T any](content any) error {
	return checkIn(reflect.TypeFor[T](), content, "")
}

func checkIn(t reflect.Type, content any, path string) error {
	if content == nil {
		return nil
	}
	if t == quantityType {
		if err := CheckText(strings.TrimSpace(fmt.Sprint(content))); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(path, "."), err)
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return checkIn(t.Elem(), content, path)
	case reflect.Slice:
		items, _ := content.([]any)
		for i, item := range items {
			if err := checkIn(t.Elem(), item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		entries, _ := content.(map[string]any)
		for key, value := range entries {
			if err := checkIn(t.Elem(), value, path+"."+key); err != nil {
				return err
			}
		}
	case reflect.Struct:
		fields, _ := content.(map[string]any)
		return checkFields(t, fields, path)
	}
	return nil
}

// checkFields goes through the fields of a struct by their JSON names, in any case, as encoding/json does. A field without a name of its own is embedded.
func checkFields(t reflect.Type, fields map[string]any, path string) error {
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" && field.Anonymous {
			if err := checkIn(field.Type, fields, path); err != nil {
				return err
			}
			continue
		}
		for key, value := range fields {
			if !strings.EqualFold(key, name) {
				continue
			}
			if err := checkIn(field.Type, value, path+"."+key); err != nil {
				return err
			}
		}
	}
	return nil
}
