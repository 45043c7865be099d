"""Worked examples: small programs over the public API, to read and to run. ``python -m videoscene_rt.examples.vehicle BUNDLE``"""
