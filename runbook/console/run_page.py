"""The console's page of one run as HTML, in sections, so that what has not changed can stay as it is on the screen."""

import base64
from collections.abc import Iterator
from io import BytesIO

from runbook import figures
from runbook.artifacts import Artifact
from runbook.console.details import ArtifactView, EnvironmentLog, RunDetails, StepView
from runbook.console.html import about, ago, badge, block, code, folded, moment, table, text
from runbook.costs import Cost
from runbook.labels import NOTHING, amount, duration, item_label
from runbook.log_lines import LogLine
from runbook.markdown import to_html
from runbook.within import said
from runtime.journal.records import Event

Sections = list[tuple[str, str]]
"""Names and HTML, in the order in which they are shown."""


def sections(found: RunDetails) -> Sections:
    """Return the page of a run."""
    return [
        ("head", _head(found)),
        ("timeline", _timeline(found)),
        *_steps(found),
        *_artifacts(found),
        *_logs(found),
        ("cost", _cost(found)),
    ]


def _head(found: RunDetails) -> str:
    row, now = found.row, found.as_of
    facts = {
        "run": f"<code>{text(found.run.session_id)}</code>",
        "began": f"{moment(row.began_at, now)} UTC",
        "age" if row.is_open else "took": duration(row.seconds),
        "workflow": text(row.workflow, 60),
        "requested by": text(row.requested_by, 100),
        "attempts": str(found.run.events.attempts),
        "retries": f"<code>{text(row.retry_of)}</code>" if row.retry_of else "",
    }
    if row.is_open:
        facts["step"] = text(", ".join(row.steps), 100) or "none yet"
        facts["last sign of life"] = ago(row.last_sign_at, now) if row.last_sign_at else "none"
        facts["deadline"] = _deadline(found)
    cells = "".join(f"<div><span>{name}</span>{value}</div>" for name, value in facts.items() if value)
    wrong = row.trouble or row.error
    where = ", ".join(step.work.name for step in found.steps if step.state == "failed")
    place = f"In step {text(where)}: " if where else ""
    error = f'<p class="rbc-error rbc-why">{place}{text(wrong)}</p>' if wrong else ""
    trace = found.traceback
    if trace:
        error += folded(f"Traceback, {len(trace.splitlines())} lines", code(trace))
    elif row.is_failure and not found.logs.missing:
        error += "<p><small>No traceback is in its logs.</small></p>"
    if row.is_failure:
        run_id = text(found.run.session_id)
        replay = f"<code>runbook pull {run_id}</code>, then <code>python -m local replay runs/{run_id}</code>"
        error += f"<p><small>On your machine, without an account: {replay}.</small></p>"
    asked = folded(f"Asked: {text(row.prompt, 160)}", code(row.prompt)) if row.prompt else ""
    title = f"<h3>{badge(row.word)} {text(row.prompt, 90)}</h3>"
    return block(f'{title}{error}<div class="rbc-facts">{cells}</div>{asked}')


def _deadline(found: RunDetails) -> str:
    until, now = found.row.deadline, found.as_of
    if until is None:
        return "none yet"
    return f"{moment(until, now)} UTC, " + (f"in {about(until - now)}" if until > now else ago(until, now))


def _timeline(found: RunDetails) -> str:
    file = BytesIO()
    picture = figures.timeline(found.run)
    picture.savefig(file, format="svg", transparent=True)
    source = base64.b64encode(file.getvalue()).decode()
    rows = [
        ["", text(row, 300), "", "", ""] if isinstance(row, str) else _event(found, row)
        for row in found.run.events.folded()
    ]
    events = table(["seconds", "event", "step", "attempt", "what"], rows)
    return block(
        f'<h4>Timeline</h4><img class="rbc-picture" alt="Timeline of the run; its events are below" '
        f'src="data:image/svg+xml;base64,{source}">{folded(f"{len(found.run.events)} events", events)}'
    )


def _event(found: RunDetails, event: Event) -> list[str]:
    error = f"{event.error_type}: {event.error_message}" if event.error_type else ""
    return [
        f"{found.run.events.seconds(event):.3f}",
        text(event.status),
        text(f"{event.step}{item_label(event.item)}" if event.step else ""),
        str(event.attempt or ""),
        f'<span class="rbc-error">{text(error, 300)}</span>' if error else text(said(event)),
    ]


def _steps(found: RunDetails) -> Iterator[tuple[str, str]]:
    yield "steps", block("<h4>Steps</h4>" + ("" if found.steps else "<p>No step has begun.</p>"))
    texts = {artifact.key: artifact for artifact in found.artifacts.value}
    for step in found.steps:
        yield f"step {step.work.name}", block(_step(step, texts.get(step.artifact)), "rbc-step")


def _step(step: StepView, written: ArtifactView | None) -> str:
    took = f", {duration(step.work.seconds)}" if step.work.seconds else ""
    tokens = f", {step.tokens:,} tokens" if step.tokens is not None else ""
    taken = f", taken from run {text(step.taken_from[:8])}" if step.taken_from else ""
    attempt = f", attempt {step.work.attempt}" if (step.work.attempt or 1) > 1 else ""
    turns = f", {step.work.turns} turns" if step.work.turns else ""
    doing = f"<br><small>{text(step.doing)}</small>" if step.doing else ""
    line = f"{badge(step.state)} <b>{text(step.work.name)}</b>{took}{turns}{tokens}{attempt}{taken}{doing}"
    error = f'<p class="rbc-error">{text(step.error)}</p>' if step.error else ""
    error += "".join(f'<p class="rbc-error">{text(call)}</p>' for call in step.not_called)
    went_in = f"<p>In: {', '.join(['the request', *(f'what {text(name)} wrote' for name in step.inputs)])}.</p>"
    came_out = f"<p>Out:</p>{_rendered(written)}" if written else "<p>Out: nothing.</p>"
    return folded(line, went_in + came_out) + error


def _artifacts(found: RunDetails) -> Iterator[tuple[str, str]]:
    missing = f'<p class="rbc-error">{text(found.artifacts.missing)}</p>' if found.artifacts.missing else ""
    number = len(found.run.artifacts)
    left_out = number - len(found.artifacts.value)
    if left_out > 0 and not missing:
        missing = f"<p>{left_out} more are not shown: see <code>rb.artifacts</code>.</p>"
    yield "artifacts", block(f"<h4>Artifacts</h4>{missing or ('' if number else '<p>None.</p>')}")
    outcome = found.run.outcome
    report = str((outcome.detail or {}).get("reportKey", "")) if outcome else ""
    for written in found.artifacts.value:
        is_report = written.key == report
        name = text(written.key.split("/", 2)[-1])
        title = f"<b>{name}</b>{', the report' if is_report else ''}"
        yield f"artifact {written.key}", block(folded(title, _rendered(written), is_open=is_report), "rbc-step")


def _rendered(written: ArtifactView) -> str:
    cut = "<p><small>The rest is cut off.</small></p>" if written.is_cut else ""
    if written.text is None:
        return "<p>This is no text.</p>"
    if written.key.endswith((".md", ".json")):
        return f'<div class="rbc-text">{to_html(Artifact(written.text, written.key).markdown)}</div>{cut}'
    return code(written.text) + cut


def _logs(found: RunDetails) -> Iterator[tuple[str, str]]:
    missing = f'<p class="rbc-error">{text(found.logs.missing)}</p>' if found.logs.missing else ""
    yield "logs", block(f"<h4>Logs</h4>{missing or ('' if found.logs.value else '<p>No environment has logged.</p>')}")
    for log in found.logs.value:
        yield f"log {log.environment_id}", block(_log(log), "rbc-step")


def _log(log: EnvironmentLog) -> str:
    errors = sum(line.is_error for line in log.lines)
    number = len(log.lines) + log.left_out
    title = f"<b>{text(log.environment_id[:8])}</b>, {number} lines" + (f", {errors} errors" if errors else "")
    left_out = f"<p>{log.left_out} lines in the middle are left out.</p>" if log.left_out else ""
    lines = table(["time (UTC)", "level", "message"], [_line(line) for line in log.lines])
    return folded(title, left_out + lines)


def _line(line: LogLine) -> list[str]:
    message = text(line.message, 2000)
    if line.stack_trace:
        message += folded("Traceback", code(line.stack_trace))
    level = text(line.level or "")
    return [
        f"{line.at:%H:%M:%S.%f}"[:-3],
        f'<span class="rbc-error">{level}</span>' if line.is_error else level,
        message,
    ]


def _cost(found: RunDetails) -> str:
    cost = found.cost.value
    if cost is None:
        return block(f'<h4>Cost</h4><p class="rbc-error">{text(found.cost.missing)}</p>')
    rows = [[text(item.item), amount(item.quantity), text(item.unit), _usd(item.usd)] for item in cost if item.quantity]
    return block(f"<h4>Cost</h4>{folded(_total(cost), table(['item', 'quantity', 'unit', 'USD'], rows))}")


def _total(cost: Cost) -> str:
    without = f", without {text(', '.join(cost.unpriced))}, which have no price" if cost.unpriced else ""
    return f"<b>&#36;{cost.usd:.6f}</b> at list prices of {text(cost.as_of)}{without}"


def _usd(usd: float | None) -> str:
    return NOTHING if usd is None else f"{usd:.6f}"
