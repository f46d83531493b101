package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-dev/holdfast/internal/command"
)

// confirm asks on the terminal. A command without a terminal does nothing unless it was told not to ask.
func (c *cluster) confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	if !isTerminal(c.streams.In) {
		return errors.New("standard input is no terminal to ask on; give --yes to go on without being asked")
	}
	fmt.Fprintf(c.streams.ErrOut, "%s Type yes: ", question)
	answers := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(c.streams.In).ReadString('\n') // what was typed before the end counts
		answers <- answer
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case answer := <-answers:
		if strings.TrimSpace(answer) != "yes" {
			return &command.ExitError{Code: exitFound, Err: errors.New("nothing was done")}
		}
		return nil
	}
}
