package notification

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/outbox"
)

// slackBytes bounds the text: Slack cuts messages off at 40,000 characters (https://docs.slack.dev/changelog/2018-truncating-really-long-messages).
const slackBytes = 39000

// mrkdwn escapes the three characters that Slack's markup gives a meaning, so that a text can neither link nor mention (https://docs.slack.dev/messaging/formatting-message-text).
var mrkdwn = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slack posts to an incoming webhook.
type slack struct{ poster *poster }

func (s *slack) deliver(ctx context.Context, m message, timeout time.Duration) outcome {
	return s.poster.post(ctx, m, timeout, map[string]string{"text": slackText(m.nr.Spec.Subject, m.nr.Spec.Body)}, nil, slackTook)
}

// slackTook reports whether an answer is Slack's: the text ok from an incoming webhook, {"ok":true} from other endpoints of Slack. A proxy's page with status 200 is not, nor is {"ok":false}.
func slackTook(said []byte) bool {
	var answer struct {
		OK bool `json:"ok"`
	}
	return string(said) == "ok" || json.Unmarshal(said, &answer) == nil && answer.OK
}

func slackText(subject, body string) string {
	text := "*" + mrkdwn.Replace(oneLine(subject, slackBytes)) + "*"
	if body == "" {
		return text
	}
	escaped := mrkdwn.Replace(body)
	if room := slackBytes - len(text); len(escaped) > room {
		escaped = mrkdwn.Replace(outbox.Bound(body, room/len("&amp;"))) // cut before it is escaped, so that no entity is
	}
	return text + "\n" + escaped
}
