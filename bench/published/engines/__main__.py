"""The engines' half: ``python -m videoscene_rt.bench.published.engines request.json``, in an interpreter without torch."""

import sys

from videoscene_rt.bench.published.engines.request import EnginesRequest
from videoscene_rt.bench.published.engines.session import run_engines
from videoscene_rt.bench.request import main

if __name__ == "__main__":
    sys.exit(main(EnginesRequest, run_engines, sys.argv[1:]))
