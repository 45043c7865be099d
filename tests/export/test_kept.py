"""The tiny autoencoder beside the published one: which graphs a bundle keeps, whose weights they have, and what is proved of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.support.checkpoints import write_published
from tests.support.presets import BOTH, PUBLISHED, SMALL
from videoscene_rt import InputError
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.manifest import Manifest, parse_manifest
from videoscene_rt.engines.preset import Preset, TinyAutoencoderSizes
from videoscene_rt.export.autoencoder_graphs import autoencoder_graphs
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.kept import Kept, kept_halves
from videoscene_rt.export.models import build_models, build_shells
from videoscene_rt.export.request import ExportRequest
from videoscene_rt.export.sources import weight_sources
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder
from videoscene_rt.export.tracing import structure
from videoscene_rt.export.twin_proof import TwinProof

SIZES = TinyAutoencoderSizes(encoder_width=8, decoder_widths=(12, 8, 8, 8))
HALVES = {
    ("encoder", "full"): {"encode_images", "encode_first", "encode_next"},
    ("encoder", "tiny"): {"encode_images_tiny", "encode_clip", "encode_stream"},
    ("decoder", "full"): {"decode_first", "decode_next"},
    ("decoder", "tiny"): {"decode_clip", "decode_stream"},
}


def request(preset: Preset = PUBLISHED, **changes: object) -> ExportRequest:
    return replace(ExportRequest(preset, Path("unused")), **changes)  # type: ignore[arg-type]


def tiny_file(path: Path, seed: int = 5) -> TinyAutoencoder:
    torch.manual_seed(seed)
    model = TinyAutoencoder(SIZES).requires_grad_(False)
    save_file(model.state_dict(), path)
    return model


def test_a_bundle_keeps_both_and_proves_both(both_bundle: Path, published_bundle: Path) -> None:
    manifest, published = Bundle.open(both_bundle).manifest, Bundle.open(published_bundle).manifest
    assert manifest.encoders == manifest.decoders == ("full", "tiny")
    assert set(manifest.graphs) == {"renderer", "policy", "student"}.union(*HALVES.values())
    assert manifest.preset == BOTH
    assert "weights_tiny_autoencoder.bin" in manifest.files
    assert manifest.chain_parity.relative_l2 == published.chain_parity.relative_l2
    assert set(manifest.chain_parity.parts) == {"tiny encoder, tiny decoder"}
    assert 0 < manifest.chain_parity.parts["tiny encoder, tiny decoder"] <= 1e-4
    for name in HALVES["encoder", "tiny"] | HALVES["decoder", "tiny"]:
        assert max(manifest.graphs[name].parity.relative_l2.values()) <= 1e-4


@pytest.mark.parametrize("encoder", ["full", "tiny", "both", None])
@pytest.mark.parametrize("decoder", ["full", "tiny", "both", None])
def test_the_graphs_are_those_that_are_asked_for(encoder: str | None, decoder: str | None) -> None:
    preset, kept = kept_halves(request(BOTH, encoder=encoder, decoder=decoder), None)
    names = {
        graph.name
        for graph in autoencoder_graphs(build_shells(preset, weight_sources(preset, None, 0), 459), preset, kept)
    }
    asked = {"encoder": encoder or "full", "decoder": decoder or "full"}
    wanted = {name for (what, half), graphs in HALVES.items() if asked[what] in (half, "both") for name in graphs}
    if set(asked.values()) == {"tiny"}:  # nothing of the published one: the preset's own is then the tiny one
        assert preset.autoencoder == BOTH.tiny_autoencoder
        assert preset.tiny_autoencoder is None
        wanted = {name.replace("_tiny", "") for name in wanted}
    assert names == wanted
    assert kept.pairs[0] == (kept.encoders[0], kept.decoders[0])
    assert {encoder for encoder, _ in kept.pairs} == set(kept.encoders)
    assert {decoder for _, decoder in kept.pairs} == set(kept.decoders)


def test_the_tiny_one_s_graphs_of_a_large_bundle_are_held_against_their_twin_s(tmp_path: Path) -> None:
    preset = BOTH.model_copy(update={"height": 64, "width": 160})
    kept, sources = Kept(("full", "tiny"), ("full", "tiny")), weight_sources(preset, None, 0)
    proof = TwinProof(preset, sources, 459, tmp_path, kept=kept)
    graphs = {graph.name: graph for graph in autoencoder_graphs(build_shells(preset, sources, 459), preset, kept)}
    matching = proof.matching(structure(graphs["decode_stream"]))
    assert matching is not None
    assert matching.agreement.weights > 0
    assert matching.agreement.scaled > 0


def test_a_preset_whose_own_is_tiny_has_no_full_one() -> None:
    assert kept_halves(request(SMALL, encoder="tiny", decoder="tiny"), None) == (SMALL, Kept.own(SMALL))
    for option in ("encoder", "decoder"):
        for half in ("full", "both"):
            with pytest.raises(
                InputError, match=f"--{option} {half}: preset small has the tiny autoencoder and no full"
            ):
                kept_halves(request(SMALL, **{option: half}), None)


def test_the_tiny_one_s_weights_and_sizes_are_its_file_s(tmp_path: Path) -> None:
    made = write_published(tmp_path / "c", PUBLISHED, dtype=torch.float32)
    tiny = tiny_file(tmp_path / "taecvx.safetensors")
    checkpoint = Checkpoint.open(tmp_path / "c", tiny_file=tmp_path / "taecvx.safetensors")
    preset, _ = kept_halves(request(decoder="both"), checkpoint.tiny_autoencoder())
    assert preset.tiny_autoencoder == SIZES
    models = build_models(preset, checkpoint, 0, 459)
    assert models.tiny is not None
    for name, tensor in tiny.state_dict().items():
        assert torch.equal(models.tiny.state_dict()[name], tensor)
    for name, tensor in made.autoencoder.state_dict().items():
        assert torch.equal(models.autoencoder.state_dict()[name], tensor)
    sources = models.sources
    assert sources is not None
    assert [matched.component for matched in sources.matched] == ["student", "autoencoder", "tiny_autoencoder"]
    assert checkpoint.digest() != Checkpoint.open(tmp_path / "c").digest()
    alone, _ = kept_halves(request(encoder="tiny", decoder="tiny"), checkpoint.tiny_autoencoder())
    assert alone.autoencoder == SIZES
    (tmp_path / "c" / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    own = build_models(alone, checkpoint, 0, 459).autoencoder.state_dict()  # nothing of vae/ is wanted
    assert all(torch.equal(own[name], tensor) for name, tensor in tiny.state_dict().items())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tiny autoencoder at .*tiny_autoencoder.safetensors") as caught:
        kept_halves(request(decoder="tiny"), tmp_path / "tiny_autoencoder.safetensors")
    assert "--tiny-autoencoder" in (caught.value.remedy or "")
    with pytest.raises(InputError, match="there is no tiny autoencoder at"):
        Checkpoint.open(tmp_path, tiny_file=tmp_path / "nothing")


def changed(bundle: Path, **fields: object) -> Manifest:
    document = json.loads((bundle / "manifest.json").read_text())
    for name, value in fields.items():
        if value is None:
            document.pop(name)
        else:
            document[name] = value
    return parse_manifest(json.dumps(document), "manifest.json")


def test_a_manifest_that_does_not_say_has_its_preset_s_own_halves(small_bundle: Path, published_bundle: Path) -> None:
    for bundle, half in ((small_bundle, "tiny"), (published_bundle, "full")):
        bare = changed(bundle, encoders=None, decoders=None)
        assert bare.encoders == bare.decoders == (half,)


@pytest.mark.parametrize(
    ("version", "remedy"), [(1, "^export"), (2, "^export"), (4, "^install a newer videoscene-rt, or export")]
)
def test_a_bundle_of_another_schema_is_to_be_exported_again(small_bundle: Path, version: int, remedy: str) -> None:
    with pytest.raises(InputError, match=f"has schema version {version}; this videoscene-rt reads 3") as caught:
        changed(small_bundle, schema_version=version)
    assert re.search(f"{remedy} the bundle again with this one$", caught.value.remedy or "")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"decoders": ["full", "full"]}, "decoders must name each one that is kept, once"),
        ({"encoders": []}, "encoders must name each one that is kept, once"),
        ({"decoders": ["tiny"]}, "decoders: the preset has no tiny autoencoder"),
        ({"decoders": ["large"]}, "decoders"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    published_bundle: Path, fields: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        changed(published_bundle, **fields)


def test_a_half_without_its_graphs_is_refused(both_bundle: Path) -> None:
    graphs = json.loads((both_bundle / "manifest.json").read_text())["graphs"]
    for name, words in (("decode_stream", "decoders: tiny needs"), ("encode_images_tiny", "encoders: tiny needs")):
        less = {key: value for key, value in graphs.items() if key != name}
        with pytest.raises(InputError, match=f"{words} graph '{name}', and there is none"):
            changed(both_bundle, graphs=less)
