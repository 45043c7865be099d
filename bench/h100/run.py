"""One session on a GPU machine: ``python -m videoscene_rt.bench.h100.run --work DIR --out DIR``. Standard library only.

It can be called again and again with the same ``--work``: what is done is not done again, what was cut off is. Builds run in the
background and outlive the call. Environment: ``LAB_PYTHON`` starts a Python with TensorRT, ``TORCH_PYTHON`` one with torch,
``ORT_PYTHON`` one with ONNX Runtime for CUDA (default: TORCH_PYTHON); each a command line, videoscene-rt importable in all of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from videoscene_rt.bench.h100 import building, one_by_one, whole_step
from videoscene_rt.bench.h100.collect import collect
from videoscene_rt.bench.h100.options import parse
from videoscene_rt.bench.h100.plan import Plan
from videoscene_rt.bench.h100.tasks import Session

PHASES: dict[str, Callable[[Session, Plan], None]] = {
    "export": building.export,
    "build": building.build,
    "wait": building.wait,
    "rebuild": building.rebuild,
    "engines": one_by_one.engines,
    "torch": one_by_one.torch,
    "ort": one_by_one.ort,
    "warm": one_by_one.warm,
    "corrupt": one_by_one.corrupt,
    "kernels": whole_step.kernels,
    "splat": whole_step.splat,
    "gputests": whole_step.gputests,
    "chain": whole_step.chain,
    "torch_step": whole_step.torch_step,
    "equality": whole_step.equality,
}
TIMED = ("rebuild", "engines", "torch", "ort", "warm", "splat", "chain", "torch_step")
"""These are not run beside a build: each would falsify the other's times."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run phases until they are over or the time is; put what there is into ``--out``.

    Returns:
        0 where everything that was started is done (a measurement may lack graphs: see the log), 3 where something failed or is
        still to do.
    """
    options, plan = parse(argv)
    session = Session(Path(options.work).resolve(), time.monotonic() + 60 * options.minutes, retry=options.retry)
    try:
        for name in options.phases:
            sys.stdout.write(f"== {name}\n")
            if name in TIMED:
                building.wait(session, plan)
                if not building.builds_are_over(session, plan):
                    sys.stdout.write("builds are still running: nothing is timed beside them; call again\n")
                    continue
            PHASES[name](session, plan)
            collect(session, plan, Path(options.out))
    finally:
        building.builds_are_over(session, plan)  # notes those that have ended
        collect(session, plan, Path(options.out), options.subject)
    return 0 if all(session.done(name) for name in session.state) else 3


if __name__ == "__main__":
    sys.exit(main())
