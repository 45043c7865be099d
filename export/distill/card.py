"""The model card: what the weights are, where they come from, what they reach and what they do not."""

from __future__ import annotations

from typing import Any

from videoscene_rt.engines.preset import LATENT_CHANNELS
from videoscene_rt.export.distill.recipe import STAGES

_LIMITS = (
    "Trained on scenes made by arithmetic (rooms, streets, clutter) and flat photographs as their textures; nothing moves, nothing "
    "reflects, nothing is transparent.",
    "A regression in one step: what no image shows is filled with what is likely on average, which is blurred.",
    "One size of frames and of video; the two cameras stand 2 to 12 % of the depth apart, as in training.",
)


def model_card(record: dict[str, Any], tables: str) -> str:
    """Markdown.

    Args:
        record: a run's record.json.
        tables: the markdown of its evaluation.
    """
    preset, recipe, counts = record["preset"], record["recipe"], record["parameters"]
    student, autoencoder = preset["student"], preset["autoencoder"]
    levels = preset["frames"] * preset["height"] * preset["width"] * 3
    latent = (1 + (preset["frames"] - 1) // 4) * LATENT_CHANNELS * (preset["height"] // 8) * (preset["width"] // 8)
    compression = levels / latent
    took = ", ".join(f"{stage} {record['seconds'][stage]:.0f} s" for stage in STAGES)
    steps = ", ".join(f"{stage} {count}" for stage, count in zip(STAGES, recipe["steps"], strict=True))
    lines = [
        f"# Model card: `{preset['name']}`",
        "",
        "A tiny autoencoder, a one-step student and its policy, trained by `videoscene_rt.export.distill` (docs/distill.md).",
        "",
        "| | |",
        "| --- | --- |",
        f"| frames | {preset['frames']} × {preset['height']} × {preset['width']} |",
        f"| student | {counts['transformer'] / 1e6:.2f} M parameters: {student['blocks']} blocks, {student['heads']} heads × "
        f"{student['head_dim']} |",
        f"| autoencoder | {counts['autoencoder'] / 1e6:.2f} M: encoder {autoencoder['encoder_width']}, decoder "
        f"{' / '.join(map(str, autoencoder['decoder_widths']))} |",
        f"| policy | {counts['policy'] / 1e6:.2f} M, candidates {', '.join(map(str, preset['policy']['candidates']))} |",
        f"| weights | float16, {record['weights_bytes'] / 2**20:.2f} MiB |",
        f"| data | procedural scenes of the seeds 0, 1, 2, … (or the folder that was named); {recipe['variants']} clouds each |",
        f"| seed | {recipe['seed']} |",
        f"| trained on | {record['device']}, torch {record['torch']}, Python {record['python']} |",
        f"| time | {took} |",
        f"| steps | {steps} |",
        *_policy_again(record.get("policy_again")),
        "",
        "To train it again: `python -m videoscene_rt.export.distill.train --out DIR --recipe record.json`, which takes the same steps.",
        "",
        "## Figures",
        "",
        tables.strip(),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in _LIMITS),
        f"- Frames are compressed {compression:.0f} times on their way: fine texture and small writing are lost, also where the cloud "
        "was dense.",
    ]
    return "\n".join(lines) + "\n"


def _policy_again(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    return [
        f"| policy, again | {found['seconds']:.0f} s on {found['device']}: {found['scenes']} scenes that the student was not trained on, "
        f"{found['steps']} groups of 16 states, {found['policy_steps']} steps, seed {found['seed']} |"
    ]
