// Package holmesgpt is the investigator that asks HolmesGPT (https://github.com/robusta-dev/holmesgpt) over its HTTP API.
//
// # Model
//
// One POST to /api/chat (docs/reference/http-api.md there) with the question in `ask` and a JSON schema in `response_format`: the root cause, and a workflow of the catalogue with its
// parameters or none. The answer's `analysis` is a text with JSON of that schema; `metadata.usage` has the token counts, if the server gives them. The question has the schema too,
// since servers from before `response_format` ignore it. Models then write prose, reasoning in tags, fences or a list around the JSON: the one object that is an answer is read (find.go).
//
// # Trust
//
// The server and the model behind it are not trusted: logs and labels of the cluster, which anybody may have written, are part of what the model reads. The body is read up to a limit,
// redirects are not followed (the token would go elsewhere), what repeats a part of the token is left out of errors, texts are cleaned and bounded, and investigator.Check, which every finding passes, refuses workflows, kinds
// and parameters that the catalogue does not have. What remains is that a model may be talked into a wrong workflow of the catalogue, or quote a log that holds an answer and give none itself: hence the
// threshold, and people. The work on an analysis is linear in its length, whatever it holds.
//
// # How it fails
//
// Anything but status 200 with such an answer is an error, with the status and the beginning of the body: the attempt failed, and the controller asks again later. So is an answer that can be
// read in two ways: two different objects, a member or a parameter that is repeated. A confidence is a number from 0 to 100, rounded down. One that is missing, outside of that or may be a fraction
// of 1 (0.95, 1.0) is an error too, since a zero would be recorded as what the model said.
// A workflow that is not in the catalogue is no error: the finding is kept, and nothing is recommended.
package holmesgpt
