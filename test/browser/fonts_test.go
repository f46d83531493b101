package browser

import (
	"fmt"
	"os"
	"path/filepath"

	"codeberg.org/go-fonts/dejavu/dejavusans"
	"codeberg.org/go-fonts/dejavu/dejavusansbold"
	"codeberg.org/go-fonts/dejavu/dejavusansmono"
	"codeberg.org/go-fonts/dejavu/dejavusansmonobold"
	"codeberg.org/go-fonts/liberation/liberationmonobold"
	"codeberg.org/go-fonts/liberation/liberationmonoregular"
	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
)

// fonts are all that a browser has: the pages take the fonts of the reader's system, and those of the machine that runs the tests must not decide what fits.
type fonts struct {
	sans, mono string
	files      [][]byte
}

var (
	// usual are as wide as Arial and Courier New; the fonts of most systems are about as wide.
	usual = fonts{sans: "Liberation Sans", mono: "Liberation Mono", files: [][]byte{liberationsansregular.TTF, liberationsansbold.TTF, liberationmonoregular.TTF, liberationmonobold.TTF}}
	// wide are about as wide as Verdana. Many Linux systems show their own texts in them.
	wide = fonts{sans: "DejaVu Sans", mono: "DejaVu Sans Mono", files: [][]byte{dejavusans.TTF, dejavusansbold.TTF, dejavusansmono.TTF, dejavusansmonobold.TTF}}
)

// fontConfig is a file of fontconfig (https://www.freedesktop.org/software/fontconfig/fontconfig-user.html): a folder, and what stands for the generic names.
const fontConfig = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>%[1]s</dir>
  <cachedir>%[1]s/cache</cachedir>
  <alias binding="strong"><family>monospace</family><prefer><family>%[3]s</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>%[2]s</family></prefer></alias>
  <match target="pattern"><edit name="family" mode="append_last"><string>%[2]s</string></edit></match>
</fontconfig>
`

// write puts the fonts into an empty folder, and returns the name of the file that says so to fontconfig.
func (f fonts) write(dir string) (string, error) {
	for i, file := range f.files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.ttf", i)), file, 0o600); err != nil {
			return "", err
		}
	}
	name := filepath.Join(dir, "fonts.conf")
	return name, os.WriteFile(name, fmt.Appendf(nil, fontConfig, dir, f.sans, f.mono), 0o600)
}
