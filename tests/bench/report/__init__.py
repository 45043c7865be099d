"""Tests of videoscene_rt.bench.report."""
