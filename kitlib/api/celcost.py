"""What an expression may cost: a rule must not be able to stop the API.

CEL always ends, but `list.all(x, list.all(y, …))` ends late, and `[s].map(v, v + v)` thirty times in a row fills
the memory.  A real server estimates the cost when a rule is written and counts it when the rule runs; here it
is counted: a unit for each step, and one for every hundred characters or items that it handles.

Source: k8s.io/apiserver/pkg/apis/cel/config.go (PerCallLimit), cel-go/interpreter/runtimecost.go.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

CALL_LIMIT = 100_000  # of one evaluation: about half a second
OBJECT_LIMIT = 300_000  # of all evaluations for one object, so that a rule for an item cannot be asked for ever
EVALUATION = 20  # what an evaluation costs before its first step
CHARACTERS = 100  # or items of a list, that one unit pays for


class CostExceeded(Exception):
    """The expression has used up what it may cost."""


class Account:
    """What has been spent in this evaluation, and for this object."""

    __slots__ = ("call", "total")

    def __init__(self) -> None:
        self.call = self.total = 0

    @property
    def exhausted(self) -> bool:
        return self.total > OBJECT_LIMIT

    def charge(self, units: int) -> None:
        self.call += units
        self.total += units
        if self.call > CALL_LIMIT or self.total > OBJECT_LIMIT:
            raise CostExceeded("operation cancelled: actual cost limit exceeded")


def check_size(characters: int) -> None:
    """Before a text of that length is made in one step."""
    if characters > CALL_LIMIT * CHARACTERS:
        raise CostExceeded("operation cancelled: actual cost limit exceeded")


def run(program: Any, activation: Any, account: Account) -> Any:
    """Evaluate a program of `celpy` and pay for it.  Raises CostExceeded."""
    account.call = 0
    account.charge(EVALUATION)
    return _evaluator()(program.ast, program.new_activation(), account).evaluate(activation)


@lru_cache(maxsize=1)
def _evaluator() -> Any:
    """An evaluator that counts.  Late: the library is loaded with the first rule."""
    from celpy.evaluation import Evaluator

    class CountingEvaluator(Evaluator):
        """Pays out of one account together with the evaluators of its macros."""

        def __init__(self, ast: Any, activation: Any, account: Account) -> None:
            super().__init__(ast=ast, activation=activation)
            self.account = account

        def sub_evaluator(self, ast: Any) -> CountingEvaluator:
            return CountingEvaluator(ast, self.activation, self.account)

        def visit_children(self, tree: Any) -> Any:
            results = super().visit_children(tree)
            self.account.charge(1 + sum(len(each) // CHARACTERS for each in results
                                        if isinstance(each, (str, bytes, list))))
            return results

    return CountingEvaluator
