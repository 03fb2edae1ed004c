"""E-mail: plain text, one thread of messages for an incident."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from hashlib import blake2b

from streams.pager.sinks.text import details, headline, short, title
from streams.pager.steps import Action, Page

SUBJECT_CHARACTERS_MAX = 200
TEXT_CHARACTERS_MAX = 10_000


def mail(page: Page, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """The same step has the same Message-ID, so that a repeat can be known by it."""
    alert = page.alert
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"], message["To"] = sender, ", ".join(recipients)
    message["Subject"] = short(f"driftline {alert.incident}: {title(page)}", SUBJECT_CHARACTERS_MAX)
    message["Date"] = format_datetime(datetime.fromtimestamp(int(page.now), UTC))
    message["Message-ID"] = _name(alert.incident, page.id)
    message["References"] = _name(alert.incident)
    message["Auto-Submitted"] = "auto-generated"
    if page.action is Action.TRIGGER and alert.severity == "critical":
        message["X-Priority"] = "1"
    lines = [short(headline(page), TEXT_CHARACTERS_MAX), "", *(f"{name}: {value}" for name, value in details(page))]
    message.set_content("\n".join(lines) + "\n", charset="utf-8")
    return message


def _name(*parts: str) -> str:
    return f"<{blake2b(chr(0).join(parts).encode(), digest_size=16).hexdigest()}@driftline.invalid>"
