"""What PagerDuty and Slack send, in the form of their documents, signed with the tests' own secrets."""

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import orjson

from streams.pager.inbound.words import Post
from streams.secrets import Secret
from tests.pager.steps import NOW

DUTY_KEY = "canary/duty+key="
SLACK_KEY = "canary0slack0key"
SECRETS = {"pagerduty": Secret(DUTY_KEY), "slack": Secret(SLACK_KEY)}
PERSON = "Ada Canary-Lovelace"
HANDLE = "canary.grace"


def duty_event(event_type: str = "incident.acknowledged", key: str | None = "inc-1", **fields: Any) -> dict[str, Any]:
    data = {
        "id": "PGR0VU2",
        "type": "incident",
        "self": "https://api.pagerduty.com/incidents/PGR0VU2",
        "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
        "number": 2,
        "status": "acknowledged",
        "incident_key": key,
        "created_at": "2026-01-01T00:00:00Z",
        "title": "[warning, opened] churn: age shifted",
        "service": {"id": "PF9KMXH", "summary": "API Service", "type": "service_reference"},
        "assignees": [{"id": "PTUXL6G", "summary": "canary assignee", "type": "user_reference"}],
        "teams": [],
        "priority": None,
        "urgency": "high",
        "resolve_reason": None,
    }
    event = {
        "id": "01BRB6ZP4M6T8ZG4X6BP63ZB9O",
        "event_type": event_type,
        "resource_type": "incident",
        "occurred_at": rfc3339(NOW),
        "agent": {"id": "PLH1HKV", "summary": PERSON, "type": "user_reference"},
        "client": {"name": "PagerDuty"},
        "data": data,
        **fields,
    }
    return {"event": event}


def duty(content: object = None, *, body: bytes | None = None, key: str = DUTY_KEY) -> Post:
    raw = body if body is not None else orjson.dumps(duty_event() if content is None else content)
    return Post({"X-PagerDuty-Signature": f"v1={digest(key, raw)}"}, raw)


def pressed(action: str = "driftline-acknowledge", value: str | None = "inc-1", **fields: Any) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "team": {"id": "T9TK3CUKW", "domain": "example"},
        "user": {"id": "UA8RXUSPL", "username": HANDLE, "name": HANDLE, "team_id": "T9TK3CUKW"},
        "api_app_id": "AABA1ABCD",
        "token": "canary-verification-token",
        "container": {"type": "message", "message_ts": "1548261231.000200", "channel_id": "CBR2V3XEX"},
        "trigger_id": "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3",
        "channel": {"id": "CBR2V3XEX", "name": "alerts"},
        "message": {"type": "message", "ts": "1548261231.000200", "text": "churn: age shifted"},
        "response_url": "https://hooks.slack.example/actions/T9TK3CUKW/1/canary",
        "actions": [
            {
                "action_id": action,
                "block_id": "=qXel",
                "text": {"type": "plain_text", "text": "Acknowledge", "emoji": True},
                "value": value,
                "type": "button",
                "action_ts": "1548426417.840180",
            }
        ],
        **fields,
    }


def press(content: object = None, *, body: bytes | None = None, key: str = SLACK_KEY, at: float = NOW) -> Post:
    payload = orjson.dumps(pressed() if content is None else content).decode()
    raw = body if body is not None else urlencode({"payload": payload}).encode()
    signature = digest(key, b"v0:%d:" % int(at) + raw)
    return Post({"X-Slack-Request-Timestamp": str(int(at)), "X-Slack-Signature": f"v0={signature}"}, raw)


def digest(key: str, text: bytes) -> str:
    return hmac.new(key.encode(), text, sha256).hexdigest()


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
