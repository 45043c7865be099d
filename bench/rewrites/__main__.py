"""``python -m videoscene_rt.bench.rewrites request.json``, in an interpreter that has torch and diffusers."""

import sys

from videoscene_rt.bench.request import main
from videoscene_rt.bench.rewrites.measuring import RewritesRequest, measure_rewrites

if __name__ == "__main__":
    sys.exit(main(RewritesRequest, measure_rewrites, sys.argv[1:]))
