// Package reportsclient calls the Report API, for commands at a terminal.
//
// A call is one request, and is repeated by nobody: whoever sits at the terminal knows best. An answer that is no success is an *Error with all that the service said, unless it repeats a part
// of the token. Texts of reports are other people's: Printable is what may go to a terminal.
package reportsclient
