"""The changes that are made in Python: cosmic-ray's operators, and two of our own."""

from collections.abc import Iterator
from typing import Any, Final

from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Keyword, Name

# Of the many replacements of an operator, the nearest: what no test tells from the original.
_CHOSEN: Final = (
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_FloorDiv",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Pow_Mul",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "AddNot",
    "NumberReplacer",
    "ZeroIterationForLoop",
)


class RemoveStatement(Operator):  # type: ignore[misc]
    """Leaves out a call, a change of an object, a return or a raise."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401
        if node.type == "simple_stmt" and _does_something(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ANN401
        statement = node.children[0]
        indent = statement.get_first_leaf().prefix
        node.children[0] = Keyword("pass", statement.start_pos, indent)
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


def _does_something(statement: Any) -> bool:  # noqa: ANN401
    if statement.type == "expr_stmt":
        target, sign = statement.children[:2]
        if sign.type == "annassign" and "=" not in sign.children:
            return False  # a declaration
        return target.type in {"atom_expr", "power"} or (
            sign.type == "operator" and sign.value != "="
        )
    return statement.type in {"atom_expr", "power", "return_stmt", "raise_stmt", "del_stmt"}


class CatchNothing(Operator):  # type: ignore[misc]
    """Lets an exception through that is caught."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401
        if node.type == "except_clause":
            yield from ((it.start_pos, it.end_pos) for it in _caught(node))

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ANN401
        caught = _caught(node)[index]
        nothing = Name("()", caught.start_pos, caught.get_first_leaf().prefix)
        siblings = caught.parent.children
        siblings[siblings.index(caught)] = nothing
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


def _caught(clause: Any) -> list[Any]:  # noqa: ANN401
    """Give the one class of an except clause, or each of several."""
    inner = clause.children[1]
    if inner.type == "atom":
        inner = inner.children[1]
    several = inner.type == "testlist_comp"
    return [it for it in inner.children if it != ","] if several else [inner]


OPERATORS: Final[tuple[Operator, ...]] = (
    RemoveStatement(),
    CatchNothing(),
    *(get_operator(f"core/{name}")() for name in _CHOSEN),
)
