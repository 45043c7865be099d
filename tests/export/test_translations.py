"""torch's table of translations is made once, and torch is left as it was."""

from __future__ import annotations

import pytest

from videoscene_rt.export.translations import remembered_translations

registration = pytest.importorskip("torch.onnx._internal.exporter._registration")


def test_the_table_is_torchs_own_and_nobody_elses_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    registry, theirs = registration.ONNXRegistry, vars(registration.ONNXRegistry)["from_torchlib"]
    made = []
    counted = classmethod(lambda cls, *args, **options: made.append(args) or theirs.__func__(cls, *args, **options))
    monkeypatch.setattr(registry, "from_torchlib", counted)
    plain = registry.from_torchlib(opset_version=18)
    with remembered_translations():
        first = registry.from_torchlib(opset_version=18)
        first.functions.clear()
    with remembered_translations():
        second = registry().from_torchlib(opset_version=18)
        next(iter(second.functions.values())).clear()
        third = registry.from_torchlib(opset_version=18)
        other = registry.from_torchlib(opset_version=20)
    assert len(made) == 3, "once as torch does it, then once for each operator set"
    assert vars(registry)["from_torchlib"] is counted
    assert (third.opset_version, other.opset_version) == (18, 20)
    assert set(third.functions) == set(plain.functions)
    for name, meanings in plain.functions.items():
        assert [each.onnx_function for each in meanings] == [each.onnx_function for each in third.functions[name]]


def test_torch_is_as_it_was_after_an_error() -> None:
    theirs = vars(registration.ONNXRegistry)["from_torchlib"]
    with pytest.raises(RuntimeError, match="within"), remembered_translations():
        raise RuntimeError("within")
    assert vars(registration.ONNXRegistry)["from_torchlib"] is theirs


def test_a_torch_that_looks_otherwise_inside_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(registration.ONNXRegistry, "from_torchlib")
    with remembered_translations():
        assert not hasattr(registration.ONNXRegistry, "from_torchlib")
