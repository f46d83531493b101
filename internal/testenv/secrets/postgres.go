package secrets

import (
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Refusing starts a server that speaks PostgreSQL's protocol, asks for the password in clear, and refuses everybody. It names the settings that it was given, as PostgreSQL
// does with those that it does not know, and repeats the password too if it is loud. It ends with the test.
func Refusing(t *testing.T, loud bool) net.Addr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); open.Wait() })
	open.Add(1)
	go func() {
		defer open.Done()
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			open.Add(1)
			go func() {
				defer open.Done()
				defer c.Close()
				refuse(c, loud)
			}()
		}
	}()
	return listener.Addr()
}

func refuse(c net.Conn, loud bool) {
	backend := pgproto3.NewBackend(c, c)
	started, err := backend.ReceiveStartupMessage()
	if _, asks := started.(*pgproto3.SSLRequest); asks && err == nil {
		if _, err = c.Write([]byte("N")); err == nil {
			started, err = backend.ReceiveStartupMessage()
		}
	}
	startup, ok := started.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if backend.Flush() != nil || backend.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	answer, err := backend.Receive()
	if err != nil {
		return
	}
	text := ""
	for _, name := range slices.Sorted(maps.Keys(startup.Parameters)) {
		text += " " + name + "=" + startup.Parameters[name]
	}
	if p, ok := answer.(*pgproto3.PasswordMessage); ok && loud {
		text += " password=" + p.Password
	}
	backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "refused:" + text, Detail: text, Hint: text})
	_ = backend.Flush()
	_, _ = io.Copy(io.Discard, c)
}
