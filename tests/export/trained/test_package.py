"""What is in export/trained: it travels in the wheel, and is what its records say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.presets import SMALL
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export import trained
from videoscene_rt.export.distill.checkpoint_files import PRESET_FILE
from videoscene_rt.export.distill.evaluation_table import markdown
from videoscene_rt.export.models import build_models
from videoscene_rt.export.policy import DDPNet
from videoscene_rt.export.presets import load_preset, preset_names
from videoscene_rt.export.trained import read_table, ship, shipped
from videoscene_rt.export.trained.opening import open_shipped

ROOT = Path(__file__).parents[3]
RECORDS = ROOT / "docs" / "records"
NONE = "the project ships no weights yet"
PRESETS = [pytest.param(name, id=name) for name in read_table()] or [
    pytest.param("", marks=pytest.mark.skip(reason=NONE))
]


def packed(folder: Path) -> set[str]:
    """The files below a folder that the wheel takes, by the patterns of pyproject.toml."""
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "videoscene_rt.export.trained" in tables["packages"]
    patterns = tables["package-data"]["videoscene_rt.export.trained"]
    return {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}


def there(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in files if path.suffix != ".py"}


def test_every_file_of_shipped_weights_is_in_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.shipping import ship_small

    weights = ship_small(tmp_path / "trained", monkeypatch)
    (weights.folder / ship.CARD).write_text("a card")
    assert packed(trained.FOLDER) == there(trained.FOLDER)
    assert len(there(trained.FOLDER)) == 8


def test_what_is_in_the_repository_is_in_the_wheel_and_in_the_table() -> None:
    assert trained.FOLDER.resolve() == ROOT / "export" / "trained"
    assert packed(trained.FOLDER) == there(trained.FOLDER)
    folders = {path.name for path in trained.FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(read_table()) <= set(preset_names())


def test_git_leaves_the_weights_as_they_are() -> None:
    """A changed line ending would change the digest."""
    assert "export/trained/** -text" in (ROOT / ".gitattributes").read_text().splitlines()


@pytest.mark.parametrize("name", PRESETS)
def test_shipped_weights_are_whole_small_and_of_their_preset(name: str) -> None:
    weights = shipped(name)
    assert weights is not None
    checkpoint, preset = open_shipped(weights), load_preset(name)
    assert load_preset(str(weights.folder / PRESET_FILE)) == preset
    models = build_models(preset, checkpoint, 0, None)
    assert isinstance(models.policy, DDPNet), "the policy was trained too"
    assert set(models.dtypes.values()) == {"float16"}
    assert sum(path.stat().st_size for path in weights.folder.rglob("*") if path.is_file()) <= ship.MOST_BYTES


@pytest.mark.parametrize("name", PRESETS)
def test_a_card_has_the_figures_of_the_evaluation_of_these_weights(name: str) -> None:
    weights = shipped(name)
    assert weights is not None
    card = (weights.folder / ship.CARD).read_text(encoding="utf-8")
    records = RECORDS / f"{name}-weights"
    evaluation = json.loads((records / ship.EVALUATION).read_bytes())
    record = json.loads((records / ship.RECORD).read_bytes())
    assert evaluation["checkpoint_sha256"] == weights.sha256
    assert markdown(evaluation).strip() in card
    sizes = [path.stat().st_size for path in weights.folder.rglob("*.safetensors")]
    assert record["weights_bytes"] == sum(sizes)
    assert f"float16, {sum(sizes) / 2**20:.2f} MiB" in card
    assert load_preset(name) == Preset.model_validate(record["preset"])
    for heading in ("## Figures", "## Limits", "| seed |", "| data |"):
        assert heading in card


def test_a_preset_of_the_tests_has_no_weights() -> None:
    """So that what the tests export is the same before and after weights are shipped."""
    assert shipped(SMALL.name) is None
