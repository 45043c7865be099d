"""Tests of videoscene_rt.bench.baselines."""
