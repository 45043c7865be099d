"""Tests of videoscene_rt.bench.roofline."""
