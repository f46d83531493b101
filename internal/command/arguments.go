package command

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// NoArguments refuses arguments without quoting them: they may be a part of a URL that the shell has split, or one that a flag is missing before.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q takes flags only, as in --database-url '…', but got %d arguments (not shown)", cmd.CommandPath(), len(args))
}

// OneArgument asks for exactly one argument, and quotes none of them.
func OneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return fmt.Errorf("%q takes one argument, %s; got %d", cmd.CommandPath(), what, len(args))
	}
}

// OnlyCommands refuses what is no command. It quotes what looks like one that is misspelt, and nothing else.
func OnlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown command %q for %q; did you mean %s?", args[0], cmd.CommandPath(), strings.Join(near, " or "))
	}
	return fmt.Errorf("unknown command for %q (not shown); run `%s --help`", cmd.CommandPath(), cmd.CommandPath())
}

var flagName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]{0,40}$`)

// FlagError says what is wrong with a flag without the rest of the argument, which may be a credential: pflag quotes all of -database-url=postgres://…
func FlagError(err error) error {
	var (
		unknown *pflag.NotExistError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fmt.Errorf("unknown flag -%.1s; a long flag has two dashes, as in --database-url", unknown.GetSpecifiedShortnames())
	case errors.As(err, &unknown) && !flagName.MatchString(unknown.GetSpecifiedName()):
		return errors.New("unknown flag (not shown); a flag looks like --database-url")
	case errors.As(err, &syntax):
		return errors.New("malformed flag (not shown), expected --name=value")
	}
	return withoutValue(err)
}

// withoutValue takes a value out of an error of its flag unless it may be shown.
func withoutValue(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && Shown(invalid.GetValue()) == unshown {
		return fmt.Errorf("invalid argument for --%s: expected %s", invalid.GetFlag().Name, invalid.GetFlag().Value.Type())
	}
	return err
}

const unshown = "(not shown)"

var plainValue = regexp.MustCompile(`^[A-Za-z0-9_.,:/+-]{0,40}$`)

// Shown quotes the value of a setting that holds no credential, unless it looks like one that went to the wrong place.
func Shown(value string) string {
	if !plainValue.MatchString(value) || strings.Contains(value, "//") {
		return unshown
	}
	return strconv.Quote(value)
}
