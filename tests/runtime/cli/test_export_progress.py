"""The export's bar: forward only, to its end, with a rate."""

from __future__ import annotations

from videoscene_rt.cli.export_progress import STEPS, ExportProgress


def test_the_bar_moves_forward_and_says_how_fast() -> None:
    moved: list[tuple[float, str]] = []
    now = [0.0]
    bar = ExportProgress(lambda advance=1, detail="": moved.append((advance, detail)), lambda: now[0])
    bar.step("building the models", 0, 1)
    bar.step("tracing student", 0, 2)
    for second, done in enumerate((0, 512, 1024)):
        now[0] = float(second)
        bar.part("writing student", done << 20, 1024 << 20, "bytes")
    bar.part("running student", 3, 6, "pieces")
    bar.step("proving the chain", 1, 2)
    bar.part("running student", 1, 6, "pieces")
    bar.part("running policy", 1, 1, "pieces")
    bar.part("digesting the bundle", 1, 2, "bytes")
    bar.step("done", 2, 2)
    assert all(advance >= 0 for advance, _ in moved)
    assert abs(sum(advance for advance, _ in moved) - STEPS) < 1e-9
    words = [detail for _, detail in moved]
    assert "writing student: 512.0 MiB of 1.0 GiB, 512.0 MiB/s" in words
    assert "running student: 3 of 6 pieces" in words
