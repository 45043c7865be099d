"""``python -m videoscene_rt.bench.published request.json``, in an interpreter that has torch and diffusers."""

import sys

from videoscene_rt.bench.published.request import PublishedRequest
from videoscene_rt.bench.published.session import measure_published
from videoscene_rt.bench.request import main

if __name__ == "__main__":
    sys.exit(main(PublishedRequest, measure_published, sys.argv[1:]))
