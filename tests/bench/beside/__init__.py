"""Tests of videoscene_rt.bench.beside."""
