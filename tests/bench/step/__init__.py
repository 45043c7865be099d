"""Tests of videoscene_rt.bench.step."""
