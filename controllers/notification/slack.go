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

// slack posts to an incoming webhook.
type slack struct{ poster *poster }

// slackMessage is what people see as blocks. Text is what a client shows that cannot show blocks, and what a push notification shows.
type slackMessage struct {
	Text   string       `json:"text"`
	Markup bool         `json:"mrkdwn"`
	Blocks []slackBlock `json:"blocks"`
}

func (s *slack) deliver(ctx context.Context, m message, timeout time.Duration) outcome {
	spec := &m.nr.Spec
	whole := "kubectl -n " + m.nr.Namespace + " get nr " + m.nr.Name + " -o jsonpath={.spec.body}"
	body := slackMessage{Text: slackText(spec.Subject, spec.Body), Blocks: blocksOf(spec.Subject, spec.Body, whole)}
	return s.poster.post(ctx, m, timeout, body, nil, slackTook)
}

// slackTook reports whether an answer is Slack's: the text ok from an incoming webhook, {"ok":true} from other endpoints of Slack. A proxy's page with status 200 is not, nor is {"ok":false}.
func slackTook(said []byte) bool {
	var answer struct {
		OK bool `json:"ok"`
	}
	return string(said) == "ok" || json.Unmarshal(said, &answer) == nil && answer.OK
}

// slackText is the message without blocks.
func slackText(subject, body string) string {
	text := entities.Replace(inert(oneLine(subject, slackBytes)))
	if body == "" {
		return text
	}
	body = inert(body)
	escaped := entities.Replace(body)
	if room := slackBytes - len(text); len(escaped) > room {
		escaped = entities.Replace(outbox.Bound(body, room/len("&amp;"))) // cut before it is escaped, so that no entity is
	}
	return text + "\n" + escaped
}

// entities escapes the three characters that Slack gives a meaning in every text (https://docs.slack.dev/messaging/formatting-message-text).
var entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
