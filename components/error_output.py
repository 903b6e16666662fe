"""What a failed task says of itself, as JSONata expressions: whole where it is a sentence, and cut where it is long."""

from components.asl import expression
from runtime.journal.vocabulary import Status

CAUSE_CHARACTERS = 8000
ERROR_CHARACTERS = 2000
CAUSE = "$states.errorOutput.Cause"
# On AWS the cause of a failed expression is the whole expression, then the code, then the message given to $error().
SAID = f"($contains({CAUSE}, 'D3137: ') ? $substringAfter({CAUSE}, 'D3137: ') : {CAUSE})"


def failed_call(status: Status) -> dict[str, str]:
    """Return how a failed call of the invoker closes the run: with the class and the message of its error."""
    # Not $parse: a cause that is not JSON, or is truncated, would fail the execution instead of closing the run. The
    # pattern is unrolled and bounded, because some engines recurse for each alternative of a repeated group.
    message = r'$match($cut, /"errorMessage": ?"([^\\"]*(?:\\.[^\\"]*){0,400})/)[0].groups[0]'
    text = f"($exists($told) ? {_unescape('$told')} : $cut = '' ? 'Step Functions gave no cause' : $cut)"
    return {
        "status": status.value,
        # Names that begin with States. are reserved: a Fail state may not use one.
        "errorType": "{% $replace($states.errorOutput.Error, /^States\\./, '') %}",
        "errorMessage": expression(
            f"($cut := $substring({CAUSE}, 0, {CAUSE_CHARACTERS}); $told := {message};"
            f" $substring({text}, 0, {ERROR_CHARACTERS}))"
        ),
    }


def _unescape(text: str) -> str:
    """Undoes JSON's escapes, except for characters beyond ASCII, which Lambda sends unescaped."""
    # An escaped backslash is held as a private-use character meanwhile. \x5c is a backslash in a pattern: JSONata's
    # parser takes a bracket after a plain one for escaped.
    plain = {r"\\": r"\ue000", r"\"": '"', r"\n": r"\n", r"\t": r"\t", r"\r": " ", r"\/": "/"}
    for escaped, meant in plain.items():
        text = f"$replace({text}, '{escaped.replace(chr(92), 2 * chr(92))}', '{meant}')"
    character = "function($m) { $decodeUrlComponent('%' & $substring($m.match, 4)) }"
    text = rf"$replace({text}, /\x5cu00[0-7][0-9a-fA-F]/, {character})"
    return rf"$replace({text}, '\ue000', '\\')"
