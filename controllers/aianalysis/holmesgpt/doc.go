// Package holmesgpt is the investigator that calls the HTTP API of HolmesGPT (https://github.com/robusta-dev/holmesgpt).
//
// # Model
//
// One POST to /api/chat (docs/reference/http-api.md there) with the question in `ask` and a JSON schema in `response_format`: the root cause, and a workflow of the catalogue with its
// parameters or none. The answer's `analysis` is a text with JSON of that schema; `metadata.usage` has the token counts, if the server gives them. The question also contains the schema,
// because older servers ignore `response_format`. Models then write prose, reasoning in tags, fences or a list around the JSON; find.go finds the one object that is an answer.
//
// # Trust
//
// The server and its model are not trusted, because the model reads logs and labels of the cluster, which anybody may have written. The body is read up to a limit.
// Redirects are not followed, because they would leak the token. Errors omit text that repeats a part of the token. Texts are cleaned and bounded. Every finding passes investigator.Check, which refuses workflows, kinds
// and parameters that the catalogue does not have. A risk remains: text in the cluster may persuade a model to choose a wrong workflow of the catalogue, or the model may only quote a log that contains an answer. That is why
// there are a threshold and approvals by people. Parsing time is linear in the length of the answer.
//
// # How it fails
//
// Anything except status 200 with a valid answer is an error with the status and the beginning of the body. The attempt fails, and the controller retries later. An ambiguous answer is an error too:
// two different objects, or a repeated member or parameter. A confidence is a number from 0 to 100, rounded down. A missing confidence, one outside of this range, and one that may be a fraction
// of 1 (0.95, 1.0) are errors, because a zero would be recorded as the model's answer.
// A workflow that is not in the catalogue is not an error: the finding is kept without a recommendation.
package holmesgpt
