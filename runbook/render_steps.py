"""A run's attempts, steps and items as a tree on a terminal. The same rules as in `runbook.render`."""

from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from runbook.labels import duration, tokens
from runbook.steps import MANY_ITEMS, AttemptWork, Kind, Work, counted, summed
from runbook.summary import RunSummary
from runbook.tables import shortened
from runbook.within import said as said_within

NAME_WIDTH = 24
ASKS_CHARACTERS = 46
"""In one line below a step; `runbook waiting` has questions whole."""
_GUIDE_WIDTH = 4
_STYLES = {Kind.DONE: "green", Kind.FAILED: "red", Kind.CUT_OFF: "red", Kind.WAITING: "yellow"}
_STYLES_FIRST = (Kind.FAILED, Kind.CUT_OFF, Kind.WAITING, Kind.DONE)
_WENT_WELL = (Kind.DONE, Kind.SKIPPED)


def tree(run: RunSummary) -> Tree:
    """Return what each attempt of a run did: attempt, steps, items."""
    root, before = Tree("", hide_root=True, guide_style="dim"), None
    for attempt in run.attempts:
        node = root.add(_attempt(attempt, before))
        for work in attempt.by_step().values():
            _add_step(node, work)
        before = attempt
    return root


def _attempt(attempt: AttemptWork, before: AttemptWork | None) -> Text:
    line = Text(f"attempt {attempt.number}: ")
    line.append(attempt.kind.word, _STYLES.get(attempt.kind, ""))
    line.append(f" after {duration(attempt.end - attempt.begin)}")
    if workflow := attempt.labels.get("workflow"):
        line.append(f", workflow {workflow}", "dim")
    if before and (changed := attempt.other_code(before)):
        versions = ", ".join(f"{_LABELS[name]} {was} → {now}" for name, (was, now) in changed.items())
        line.append(f"\n    other code than attempt {before.number}: {versions}", "yellow")
    return line


_LABELS = {"workflowDigest": "workflow", "codeDigest": "code"}


def _add_step(node: Tree, work: Sequence[Work]) -> None:
    items = [each for each in work if each.item is not None]
    if not items:
        for each in work:
            node.add(_line(each.step, [each], each.kind.word, NAME_WIDTH))
        return
    step = node.add(_line(items[0].step, items, counted(items), NAME_WIDTH))
    for each in items:
        # Of many, those that went well are only counted.
        if len(items) <= MANY_ITEMS or each.kind not in _WENT_WELL:
            step.add(_line(f"[{each.item}]", [each], each.kind.word, NAME_WIDTH - _GUIDE_WIDTH))


def _line(name: str, work: Sequence[Work], said: str, width: int) -> Text:
    kinds = {each.kind for each in work}
    line = Text(f"{name:<{width}}  ")
    line.append(said, next((_STYLES[kind] for kind in _STYLES_FIRST if kind in kinds), "dim"))
    worked = [each for each in work if each.kind is not Kind.SKIPPED]
    if worked:
        line.append(f", {duration(max(each.end for each in worked) - min(each.begin for each in worked))}")
    if turns := sum(each.turns for each in worked):
        line.append(f", {turns} turn{'' if turns == 1 else 's'}", "dim")
    if told := tokens(summed(each.tokens for each in worked if each.tokens)):
        line.append(f", {told}", "dim")
    if len(work) == 1:
        for below in _below(work[0]):
            line.append(f"\n{' ' * (width + 2)}{below}", "dim")
    return line


def _below(work: Work) -> Sequence[str]:
    """What a step that isn't done does, or asks a person."""
    if work.kind is Kind.GOING_ON and work.within:
        return [said_within(work.within[-1])]
    return [shortened(question, ASKS_CHARACTERS) for question in work.asks]
