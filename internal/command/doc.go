// Package command has the commands about the audit trail that both programs have, holdfast and kubectl holdfast: verify, dead-letter, export, import, release and rar, and what every command
// does with its flags, their variables and its exit status.
//
// A command quotes no value that may be a credential which went to the wrong place: not an argument that it does not know, not a flag of another form.
// What it prints comes from rows and resources that anybody may have written, so none of it is a command for a terminal.
package command
