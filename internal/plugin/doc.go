// Package plugin is `kubectl holdfast`: it lists, explains and decides what `kubectl get` shows only in parts.
//
// A verb gathers facts from the API server, makes one result of them, and prints it: the text for people has nothing that JSON lacks. Kinds are found by the schema that the API server
// publishes, so another operator's kind is listed like Holdfast's own. Lists are read page by page, and only a summary of each resource is kept.
//
// What a verb prints comes from resources that anybody may have written. No format contains a control character of them.
//
// Exit status: 0 fine, 1 found something, 2 could not tell, 124 timeout, 130 interrupted.
package plugin
