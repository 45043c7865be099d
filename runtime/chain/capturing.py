"""Every program of a chain captured in one form: the one that was asked for, or a plain graph, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from videoscene_rt.chain.program import Program
from videoscene_rt.engines.device import GraphForm
from videoscene_rt.engines.errors import BackendError, InputError

Capture = bool | Literal["device-launch"]
"""Whether a step is replayed as one graph, and as which; True is a plain one."""


def checked_capture(capture: object) -> Capture:
    """The same.

    Raises:
        InputError: it is nothing that `Capture` names.
    """
    if isinstance(capture, bool):
        return capture
    if capture == "device-launch":
        return "device-launch"
    raise InputError(f"capture is {capture!r}", 'give True, False or "device-launch"')


def capture_all(programs: Sequence[Program], wanted: GraphForm) -> tuple[GraphForm | None, tuple[str, ...]]:
    """Capture them all in the first form that all of them take.

    Returns:
        The form, None where they run stage by stage; and a line for each form that was tried in vain.
    """
    notes = []
    for form in dict.fromkeys((wanted, "plain")):
        try:
            for program in programs:
                program.capture(form)
        except BackendError as error:
            for program in programs:
                program.forget()
            then = "the chain runs stage by stage" if form == "plain" else f"no graph for {form}, a plain one instead"
            notes.append(f"{then}: {error.problem}")
        else:
            return form, tuple(notes)
    return None, tuple(notes)
