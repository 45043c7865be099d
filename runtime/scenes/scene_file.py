"""scene.json as data: what a scene folder's description may say."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator

from videoscene_rt.engines.errors import InputError

_Float = Annotated[FiniteFloat, Field(strict=True)]
_Int = Annotated[int, Field(strict=True)]
_Row4 = tuple[_Float, _Float, _Float, _Float]
_Matrix = tuple[_Row4, _Row4, _Row4, _Row4]
_Name = Annotated[str, Field(min_length=1, max_length=1024)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CameraFile(_Data):
    """A pinhole camera, pixels; pixel centres at integers. width and height are those of its image file."""

    fx: _Float
    fy: _Float
    cx: _Float
    cy: _Float
    width: _Int
    height: _Int

    def matrix(self) -> list[list[float]]:
        """The 3×3 intrinsic matrix."""
        return [[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]]


class SceneFile(_Data):
    """scene.json. ``camera`` is one camera for both images, or a list of two."""

    images: tuple[_Name, _Name]
    points: _Name
    camera: tuple[CameraFile, ...] = Field(min_length=1, max_length=2)
    world_to_camera: tuple[_Matrix, _Matrix]
    trajectory: tuple[_Matrix, ...] | None = Field(default=None, max_length=4096)
    timestamp_ns: _Int | None = None

    @field_validator("images", "world_to_camera", mode="before")
    @classmethod
    def _two(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and len(value) != 2:
            raise ValueError(f"{len(value)} given; a scene has exactly two")
        return value

    @field_validator("world_to_camera", "trajectory", mode="before")
    @classmethod
    def _matrices(cls, value: Any) -> Any:
        for index, matrix in enumerate(value if isinstance(value, (list, tuple)) else ()):
            shape = _shape(matrix)
            if shape is not None and shape != "4×4":
                raise ValueError(f"matrix {index} is {shape}; needs 4×4, the last row 0 0 0 1")
        return value

    @field_validator("camera", mode="before")
    @classmethod
    def _one_or_two(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return (value,)
        if isinstance(value, (list, tuple)):
            if not 1 <= len(value) <= 2:
                raise ValueError(f"{len(value)} given; one for both images, or a list of two")
            return tuple(value)
        return value

    @property
    def cameras(self) -> tuple[CameraFile, CameraFile]:
        """One camera an image."""
        return self.camera[0], self.camera[-1]


def parse_scene_file(text: bytes) -> SceneFile:
    """Check the JSON text of a scene.json; InputError (without a file name) says which key is wrong."""
    try:
        return SceneFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InputError(f"unknown key {key!r}", f"known keys: {_known_keys(first['loc'])}") from None
        if first["type"] == "missing":
            raise InputError(f"key {key!r} is missing") from None
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{key}: {message}" if key else message) from None


def _shape(matrix: Any) -> str | None:
    """ "3×4" of a list of equally long lists; None of anything else."""
    if not isinstance(matrix, list) or not all(isinstance(row, list) for row in matrix):
        return None
    lengths = {len(row) for row in matrix}
    return f"{len(matrix)}×{lengths.pop()}" if len(lengths) == 1 else None


def _known_keys(location: tuple[int | str, ...]) -> str:
    model = SceneFile if len(location) == 1 else CameraFile
    return ", ".join(model.model_fields)
