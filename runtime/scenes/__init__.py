"""Scenes: what one run sees, from files or from arrays, and how it is brought to a preset's size."""

from videoscene_rt.scenes.clouds import thin
from videoscene_rt.scenes.fit import FittedScene, fit
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.scenes.trajectory import CameraPath, camera_path

__all__ = ["CameraPath", "FittedScene", "Scene", "camera_path", "fit", "thin"]
