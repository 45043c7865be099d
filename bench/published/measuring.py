"""One cell: built, run in a closed loop, compared with the published path, and written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from videoscene_rt.bench.closed_loop import Loop, closed_loop
from videoscene_rt.bench.inputs import Arrays
from videoscene_rt.bench.measure import Work, gpu_once, measure, record_name
from videoscene_rt.bench.published.built import Built, Outputs, Run, relative_l2
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.published.finding import Finding
from videoscene_rt.bench.published.request import PublishedRequest
from videoscene_rt.bench.published.stages import Counter, build
from videoscene_rt.bench.record import Identity, Inputs, Record, Statistics, rounded_us, write_record
from videoscene_rt.bench.roofline.facts import Rates, RooflineFacts, StageCounts
from videoscene_rt.bench.step_facts import CostFacts
from videoscene_rt.bench.surroundings import host
from videoscene_rt.bench.torch_baseline import TorchTimer
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.preset import Preset


class Measuring:
    """Measures the cells of a request, one after the other; a cell's weights are gone before the next one's are made.

    Args:
        preset: the sizes. request: what is to be measured. rates: the device's.
    """

    def __init__(self, preset: Preset, request: PublishedRequest, rates: Rates) -> None:
        self._preset, self._request, self._rates = preset, request, rates
        self._counter = Counter(preset, request)
        self._cuda = request.device == "cuda"

    def __call__(self, cell: Cell, seconds: float) -> Finding:
        """Measure a cell and write its record.

        Args:
            cell: which. seconds: how much time there is; the loop ends in time for it, if building leaves some.
        """
        begin = time.perf_counter()
        built = build(cell, self._preset, self._request)
        torch.backends.cudnn.benchmark = built.autotune
        latest: list[Outputs] = [built.run()]
        self._synchronize()
        setup_s = time.perf_counter() - begin
        record = self._record(cell, built, latest, setup_s, seconds - setup_s)
        path = self._request.out / record_name(record.identity)
        write_record(path, record)
        if built.reference is not None:
            record, relative = self._compared(record, built.reference, latest)
            write_record(path, record)
        else:
            relative = {}
        return self._finding(cell, built, record, relative, path)

    def _record(self, cell: Cell, built: Built, latest: list[Outputs], setup_s: float, left_s: float) -> Record:
        settings = self._request.settings
        settings = settings.model_copy(update={"limit_s": max(0.1, min(settings.limit_s or left_s, left_s / 2))})
        peaks: list[int] = []

        def run() -> None:
            latest[0] = built.run()

        def around(loop: Callable[[], Loop]) -> Loop:
            latest[0] = {}
            if self._cuda:
                torch.cuda.reset_peak_memory_stats()
            found = loop()
            if self._cuda:
                peaks.append(torch.cuda.max_memory_allocated())
            return found

        work = Work(
            identity=self._identity(cell),
            inputs=Inputs(specs_sha256=_specs(built), source=f"seed {self._request.seed}, on the device"),
            run=run,
            synchronize=self._synchronize,
            outputs=lambda: _on_host(latest[0]),
            cuda=self._cuda,
            setup_s=setup_s,
            timer=TorchTimer() if self._cuda else None,
            versions={"torch": torch.__version__},
            notes=(
                "no bundle: random weights; bundle_sha256 is the digest of the preset",
                "cudnn.benchmark on" if built.autotune else "cudnn.benchmark off",
                "device_peak_bytes is torch's allocator's, in the closed loop, weights included",
                *built.notes,
            ),
        )
        record = measure(work, settings, self._request.keep_samples, around)
        more: dict[str, np.ndarray] = {}
        if built.first is not None:
            timer = TorchTimer() if self._cuda else None
            loop = closed_loop(built.first, self._synchronize, settings, timer)
            more["first-frames"] = loop.host if loop.device is None else loop.device
        more.update(self._in_turns(built.turns, settings.iterations))
        counts = self._counts(cell)
        changes = {
            "statistics": {**record.statistics, **{name: Statistics.of(samples) for name, samples in more.items()}},
            "costs": CostFacts(device_peak_bytes=peaks[0] if peaks else None),
            "roofline": None if counts is None else RooflineFacts(rates=self._rates, stages=(counts,)),
        }
        if record.samples_us is not None:
            changes["samples_us"] = {**record.samples_us, **rounded_us(more)}
        return record.model_copy(update=changes)

    def _in_turns(self, runs: Mapping[str, Run], rounds: int) -> dict[str, np.ndarray]:
        """A, B, A, B, …: what the device does meanwhile meets all alike. The first round is warm-up."""
        found: dict[str, list[float]] = {f"turns.{name}": [] for name in runs}
        for turn in range(-1, rounds if runs else -1):
            for name, run in runs.items():
                timer = TorchTimer() if self._cuda else None
                begin = time.perf_counter()
                if timer is not None:
                    timer.start()
                run()
                if timer is not None:
                    timer.stop()
                self._synchronize()
                took = (time.perf_counter() - begin) * 1e3 if timer is None else timer.elapsed_ms()
                if turn >= 0:
                    found[f"turns.{name}"].append(took)
        return {name: np.asarray(samples) for name, samples in found.items()}

    def _compared(self, record: Record, reference: Run, latest: list[Outputs]) -> tuple[Record, dict[str, float]]:
        torch.backends.cudnn.benchmark = False
        try:
            relative = relative_l2(latest[0], reference())
            words = ", ".join(f"{name} {value:.2e}" for name, value in sorted(relative.items()))
            note = f"relative L2 to the published path in the same dtype: {words}"
        except RuntimeError as error:  # out of memory, most likely: the times are measured all the same
            relative, note = {}, f"not compared with the published path: {first_line(error)}"
        return record.model_copy(update={"notes": (*record.notes, note)}), relative

    def _finding(self, cell: Cell, built: Built, record: Record, relative: dict[str, float], path: Path) -> Finding:
        main = record.statistics["device" if self._cuda else "host"]
        first = record.statistics.get("first-frames")
        counts = self._counts(cell)
        return Finding(
            stage=cell.stage,
            mode=cell.mode,
            dtype=cell.dtype,
            blocks=cell.blocks,
            ms=main.p50,
            spread_ms=(main.min, main.max),
            samples=main.count,
            first_ms=None if first is None else first.p50,
            setup_s=record.setup_s,
            peak_bytes=None if record.costs is None else record.costs.device_peak_bytes,
            floor_ms=None if counts is None else counts.floor_ms(self._rates),
            bound=None if counts is None else counts.bound(self._rates),
            relative_l2=relative,
            turns_ms={
                name.removeprefix("turns."): one.p50
                for name, one in record.statistics.items()
                if name.startswith("turns.")
            },
            notes=(
                *built.notes,
                *(f"output {name} is not finite" for name, rms in record.output_rms.items() if rms is None),
            ),
            record=path.name,
        )

    def _counts(self, cell: Cell) -> StageCounts | None:
        try:
            return self._counter.of(cell)
        except (
            RuntimeError,
            NotImplementedError,
            TypeError,
        ):  # an operator that this torch cannot run on shapes: times count more
            return None

    def _identity(self, cell: Cell) -> Identity:
        facts = gpu_once() if self._cuda else None
        name = facts.name if facts else torch.cuda.get_device_name() if self._cuda else host().processor
        return Identity(
            bundle_sha256=text_sha256([self._preset.model_dump_json()]),
            preset=self._preset.name,
            graph=cell.graph,
            engine=f"baseline:torch-{cell.mode}",
            backend="torch",
            precision=cell.dtype,
            mode=cell.mode,
            device=name or host().architecture,
        )

    def _synchronize(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()


def first_line(error: BaseException) -> str:
    """An error in one line, its kind before it where the words alone would not say it."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _specs(built: Built) -> str:
    return text_sha256([f"{tensor.dtype} {list(tensor.shape)}" for tensor in built.inputs])


def _on_host(outputs: Outputs) -> Arrays:
    return {name: value.cpu().numpy() for name, value in outputs.items() if name != "v"}
