"""What runs ask people as HTML, for widgets and static pages."""

from datetime import datetime

from runbook.answering import NOT_READ, OpenWait, OpenWaits
from runbook.console.html import about, ago, block, code, moment, text


def questions_heading(found: OpenWaits) -> str:
    """Return what stands above them."""
    number = len(found)
    return block(f"<h4>{f'{number} runs wait' if number > 1 else '1 run waits'} for an answer</h4>")


def question(asked: OpenWait, now: datetime) -> str:
    """Return an open wait with its questions in full."""
    until = asked.wait.until
    left = f"expires in {about(until - now)}" if until > now else "about to expire"
    workflow = f" of workflow {text(asked.workflow, 40)}" if asked.workflow else ""
    asked_ago = f"wait {asked.number}: asked {ago(asked.wait.created_at, now)}"
    head = f"<p><code>{text(asked.session_id)}</code>{workflow}, {asked_ago}, {left}, at {moment(until, now)} UTC</p>"
    if asked.problem is not None:
        return block(f'{head}<p class="rbc-error">{text(NOT_READ.format(asked.problem))}</p>')
    several = (
        "<p><small>An answer holds for all of them; different ones: <code>runbook answer --file</code>.</small></p>"
    )
    return block(head + code(asked.text) + (several if len(asked.questions) > 1 else ""))


def static_questions(found: OpenWaits, now: datetime) -> str:
    """Return all of them for where nothing can be clicked; an empty text if there are none."""
    if not found:
        return ""
    how = "<p>To answer: <code>runbook answer SESSION --wait W --approve</code>, or <code>--deny</code>.</p>"
    return questions_heading(found) + "".join(question(asked, now) for asked in found) + block(how)
