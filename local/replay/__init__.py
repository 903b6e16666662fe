"""A pulled run, run again in this process: recorded answers of models, recorded results of tools, today's code.

Needs no cloud, no network and no credentials. Its folder is what `runbook pull` writes; plain code runs for real, tools
only where they are named. :func:`replayed` is for tests and notebooks, `python -m local replay` for terminals.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.replay.comparison import Replay
    from local.replay.playing import ModelOf


def replayed(
    directory: str | PathLike[str],
    *,
    tools: Sequence[str] = (),
    force: bool = False,
    live_from: str | None = None,
    model: "ModelOf | None" = None,
    debug: bool = False,
) -> "Replay":
    """Replay a pulled run and return what it came to.

    :param directory: the folder
    :param tools: names of the tools that are really called; the others give their recorded results
    :param force: also where these must not be called twice, or need a person
    :param live_from: the first step whose model is really asked; so are those after it
    :param model: gives a step's model from there on; without it, Bedrock's, by the environment's credentials
    :param debug: run everything in this thread, where a debugger stops
    :raises ReplayError: if the folder can't be used, or the options don't fit its workflow
    """
    # Strands takes a second to import, and `python -m local run` needs none of it.
    from local.replay.comparison import compared
    from local.replay.live import bedrock_model
    from local.replay.playing import Options, Player
    from local.replay.record.folder import RunFolder

    folder = RunFolder.opened(Path(directory))
    player = Player(folder, Options(tools, force, live_from, debug))
    if live_from is not None and model is None:
        model = bedrock_model(folder)
    return compared(folder, player.play(model))
