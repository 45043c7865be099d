"""Which part of the published model, and in which form it becomes engines."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from videoscene_rt.bench.published.request import EngineMode, Stage

Form = Literal["whole", "shared-block", "stream"]
_TENSORRT: dict[Form, EngineMode] = {
    "whole": "tensorrt",
    "shared-block": "tensorrt-shared-block",
    "stream": "tensorrt-stream",
}
Runtime = Literal["tensorrt", "onnxruntime-cuda"]
FORMS: dict[Stage, tuple[Form, ...]] = {"student": ("whole", "shared-block"), "tiny_decode": ("whole", "stream")}
"""Stages that have another form than the graphs of a bundle; the renderer, which is a kernel, has none at all."""


class Item(BaseModel):
    """A stage in a form.

    Attributes:
        form: "whole": the graphs of a bundle. "shared-block": the student as three graphs, one of which is a block whose weights are
            inputs and runs once for each block. "stream": the tiny decoder, one latent frame a call.
        blocks: the student's; None elsewhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    form: Form = "whole"
    blocks: int | None = None

    @model_validator(mode="after")
    def _exists(self) -> Item:
        if self.stage == "render" or self.form not in FORMS.get(self.stage, ("whole",)):
            raise ValueError(f"stage {self.stage} has no form {self.form!r}")
        if (self.blocks is None) == (self.stage == "student"):
            raise ValueError("the student has a number of blocks, and no other stage has one")
        return self

    @property
    def name(self) -> str:
        """Its folder's, and the graph's in a record: "student-42-blocks-shared-block", "decode"."""
        blocks = "" if self.blocks is None else f"-{self.blocks}-blocks"
        return f"{self.stage}{blocks}{'' if self.form == 'whole' else f'-{self.form}'}"

    def mode(self, runtime: Runtime) -> EngineMode:
        """As the summary calls it."""
        if runtime == "onnxruntime-cuda":
            return "onnxruntime-cuda" if self.form == "whole" else "onnxruntime-cuda-parts"
        return _TENSORRT[self.form]
