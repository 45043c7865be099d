"""onnxscript's rewrite rules, tried on a node only where the rule begins with an operator of its kind.

Most tries end at the first comparison, that of the operator, but a rule with two results first sorts all nodes of the
graph, for each node of the graph: that grows with the square of the graph. Here the first comparison is made first, by
the pattern's own words, so that what matches is the same. onnxscript has no public way in, so its own class is lent it
for a while; one that looks otherwise inside is left as it is.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def first_operators_first() -> Iterator[None]:
    """Within it a pattern whose first operator is not the node's is not looked at any further."""
    try:
        matcher = importlib.import_module("onnxscript.rewriter._matcher").SimplePatternMatcher
        theirs = vars(matcher)["match"]
        no = importlib.import_module("onnxscript.rewriter._basics").MatchResult().fail("another operator")
    except (ImportError, AttributeError, KeyError, TypeError):
        yield
        return

    def match(self: Any, model: Any, graph: Any, node: Any, **options: Any) -> Any:
        if options.get("tracer") is None and not _may_begin(self, node):
            return no
        return theirs(self, model, graph, node, **options)

    matcher.match = match
    try:
        yield
    finally:
        matcher.match = theirs


def _may_begin(matcher: Any, node: Any) -> bool:
    try:
        return bool(matcher.pattern.output_nodes[0].op.matches(node.op_type))
    except (AttributeError, IndexError, TypeError):
        return True
