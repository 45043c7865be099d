"""One session on a GPU machine, in phases that can be taken up again: see run.py."""
