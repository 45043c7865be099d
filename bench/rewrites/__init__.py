"""Exact rewrites of the published decoder's layers against the layers as they are, place by place in torch, at their real sizes."""
