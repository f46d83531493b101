package notification

import (
	"context"
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
	return s.poster.post(ctx, m, timeout, map[string]string{"text": slackText(m.nr.Spec.Subject, m.nr.Spec.Body)}, nil)
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
