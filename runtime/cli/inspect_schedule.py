"""`vsrt inspect --schedule`: which stage of a bundle's chain runs on which stream, as a picture and in a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoscene_rt.engines.errors import InputError

if TYPE_CHECKING:
    from videoscene_rt.chain.program import StageTime
    from videoscene_rt.chain.schedule import Schedule
    from videoscene_rt.engines.manifest import Manifest

_POLICY = "policy"
_FORM = 'it is a list of {"stage", "lane", "start_ms", "end_ms"}, a record with one under "timeline", or one of bench.chain_bench'


def check_schedule(picture: Path | None, timeline: Path | None) -> tuple[StageTime, ...] | None:
    """Look at the options before a bundle is read; gives the recorded times, if there are any.

    Raises:
        InputError: the picture is not to be a PNG, there is a timeline without a picture, or it cannot be read.
    """
    if picture is None:
        if timeline is not None:
            raise InputError("--timeline is drawn into a picture", "name one: --schedule FILE.png")
        return None
    if picture.suffix.lower() != ".png":
        raise InputError(f"--schedule writes a PNG, and {picture.name} is not named like one", "name it FILE.png")
    return None if timeline is None else read_timeline(timeline)


def read_timeline(path: Path) -> tuple[StageTime, ...]:
    """A recorded timeline: a JSON list of {stage, lane, start_ms, end_ms}, a record that has such a list as "timeline", or one that
    `videoscene_rt.bench.chain_bench` wrote.

    Raises:
        InputError: it cannot be read, or is none.
    """
    from pydantic import TypeAdapter, ValidationError

    from videoscene_rt.chain.program import StageTime

    try:
        document = TypeAdapter(dict[str, Any] | list[Any]).validate_json(path.read_bytes())
        listed = _listed(document) if isinstance(document, dict) else document
        times = TypeAdapter(tuple[StageTime, ...]).validate_python(listed)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValidationError, RecursionError) as error:
        raise InputError(f"{path} is no timeline: {_first_problem(error)}", _FORM) from error
    if not times:
        raise InputError(f"{path} holds no timeline", _FORM)
    return times


def _listed(document: dict[str, Any]) -> Any:
    chain = document.get("chain")
    return document.get("timeline", chain.get("stages", ()) if isinstance(chain, dict) else ())


def _first_problem(error: Exception) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return "it is nested too deeply"
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


def write_picture(manifest: Manifest, picture: Path, times: tuple[StageTime, ...] | None) -> Schedule:
    """Draw the schedule of a bundle's chain, with the recorded times where there are some; nothing is loaded for it.

    Raises:
        InputError: the times are of another schedule, or the file cannot be written.
    """
    from videoscene_rt.chain.plan import plan_chain
    from videoscene_rt.chain.schedule import schedule
    from videoscene_rt.pictures.schedule import draw_schedule, write_schedule

    # A step with a fixed timestep has no policy in it, whichever the timestep is.
    fixed = times is not None and all(time.stage != _POLICY for time in times)
    found = schedule(plan_chain(manifest, 0 if fixed else None))
    what = "schedule" if times is None else "recorded timeline"
    write_schedule(picture, draw_schedule(found, times, title=f"{manifest.preset.name} · {what}"))
    return found


def lane_lines(found: Schedule) -> list[str]:
    """Each lane with its stages in order, and what they wait for on other lanes; the main one ends when all have."""
    lines = []
    for lane in range(found.lanes):
        stages = [placed for placed in found.placed if placed.lane == lane]
        words = [f"{s.stage} (after {', '.join(s.waits)})" if s.waits else s.stage for s in stages]
        if lane == 0 and found.tails:
            words.append(f"end (after {', '.join(found.tails)})")
        lines.append(f"lane {lane}: {' ▸ '.join(words)}")
    return lines


def schedule_document(found: Schedule) -> list[dict[str, Any]]:
    """For --json: the stages in order, each with its graph, its lane and what it waits for on other lanes."""
    return [
        {"stage": placed.stage, "graph": placed.graph, "lane": placed.lane, "waits": list(placed.waits)}
        for placed in found.placed
    ]
