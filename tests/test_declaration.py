"""A rule that is wrong in form says so, where it is declared or first called, in one sentence that names it."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, tape
from tinygrad_np.ops.elementwise import multiply
from tinygrad_np.tape import primitive
from tinygrad_np.transforms import grad

pytestmark = pytest.mark.usefixtures("registries")


def leaf(data: Any) -> Tensor:
    return Tensor(data, requires_grad=True)


def declared(rule: Callable[..., Any], name: str = "mine") -> Callable[..., Any]:
    rule.__name__ = name
    declaration: Any = primitive()
    return declaration(rule)  # type: ignore[no-any-return]


def told(kind: type[Exception], start: str, call: Callable[[], Any]) -> str:
    """The sentence of an error, which begins like this and is one line."""
    with pytest.raises(kind) as info:
        call()
    message = str(info.value)
    assert message.startswith(start), message
    assert "\n" not in message
    return message


# --- where it is declared -----------------------------------------------------------------------------


def test_without_parentheses() -> None:
    def sine(x: Any) -> Any:
        return np.sin(x), (lambda g: g * np.cos(x),)

    message = told(TypeError, "@primitive takes NumPy functions that ask", lambda: primitive(sine))
    assert "<function test_without_parentheses.<locals>.sine at" in message
    assert message.endswith("write @primitive()")


def test_a_python_function_of_numpy_cannot_be_answered_for() -> None:
    for function in (np.isscalar, np.frombuffer, math.sin, "tanh"):
        told(TypeError, "@primitive takes NumPy functions that ask", lambda f=function: primitive(f))  # type: ignore[misc]


def test_a_static_parameter_is_keyword_only() -> None:
    def with_default(x: Any, axis: int = 0) -> Any:
        return x, (lambda g: g,)

    def hidden(x: Any, **options: Any) -> Any:
        return x, (lambda g: g,)

    def nothing(*, shape: Any) -> Any:
        return np.zeros(shape), ()

    message = told(TypeError, "primitive mine: axis has a default", lambda: declared(with_default))
    assert message.endswith("write *, axis=0")
    told(TypeError, "primitive mine: **options hides static parameters", lambda: declared(hidden))
    told(TypeError, "primitive mine takes no array by position", lambda: declared(nothing))


def test_a_name_or_a_numpy_function_that_is_taken() -> None:
    def rule(x: Any) -> Any:
        return x, (lambda g: g,)

    before = dict(tape.PRIMITIVES), dict(tape.NUMPY)
    message = told(ValueError, f"primitive {__name__}.", lambda: declared(rule, "tanh"))
    assert "there is a primitive tanh already, tinygrad_np.ops.elementwise.tanh" in message
    rule.__name__ = "mine"
    answers: Any = primitive(np.tanh)
    message = told(ValueError, f"primitive {__name__}.", lambda: answers(rule))
    assert "there is a rule for np.tanh already, tinygrad_np.ops.elementwise.tanh" in message
    message = told(ValueError, "primitive ", lambda: tape.implements(np.tanh)(rule))
    assert "a rule for np.tanh" in message
    assert before == (tape.PRIMITIVES, tape.NUMPY)  # and nothing was registered by halves


def test_the_same_rule_may_be_declared_anew() -> None:
    def of(factor: float) -> Callable[..., Any]:
        def mine(x: Any) -> Any:
            return x * factor, (lambda g: g * factor,)

        return declared(mine)  # a cell of a notebook that is run again, or a rule made by a function

    of(2.0)
    x = leaf(1.0)
    of(3.0)(x).backward()
    assert x.grad == 3.0


# --- where it is first called -------------------------------------------------------------------------


@pytest.mark.parametrize("x", [np.ones(2), np.ones((2, 3)), 1.0])
@pytest.mark.parametrize("wrap", [leaf, Tensor])
def test_a_rule_that_returns_only_its_value(x: Any, wrap: Callable[[Any], Tensor]) -> None:
    mine = declared(lambda x: np.asarray(x * 2.0))
    for _ in range(2):  # the second call is no first call that went well
        message = told(TypeError, "mine(float64", lambda: mine(wrap(x)))
        assert ": the rule returned ndarray and not a pair of its result and the vjps" in message


def test_results_and_vjps_of_other_kinds() -> None:
    x = leaf(np.ones((2, 3)))
    for rule, said in (
        (lambda x: None, "the rule returned NoneType and not a pair"),
        (lambda x: (None, (lambda g: g,)), "the rule returned tuple and not a pair"),
        (lambda x: (x, (lambda g: g,), 1), "the rule returned tuple and not a pair"),
        (lambda x: (x, x), "the vjps are a tuple of functions"),
        (lambda x: (x, [lambda g: g]), "the vjps are a tuple of functions"),
        (lambda x: (x, (x,)), "the vjps are a tuple of functions"),
        (lambda x: ((x, x), (lambda g: g,)), "a rule with several results has one joint vjp"),
    ):
        told(TypeError, f"mine(float64[2, 3]): {said}", lambda rule=rule: declared(rule)(x))  # type: ignore[misc]


def test_too_few_and_too_many_vjps_even_where_the_other_argument_is_a_constant() -> None:
    def too_few(x: Any, y: Any) -> Any:
        return x * y, (lambda g: g * y,)

    def too_many(x: Any, y: Any) -> Any:
        return x * y, (lambda g: g * y, lambda g: g * x, None)

    def variadic(*xs: Any) -> Any:
        return sum(xs), (lambda g: g,)

    def no_keyword(x: Any, axis: Any) -> Any:
        return np.sum(x, axis), (lambda g: g,)

    x, one = leaf(np.ones(3)), np.ones(3)
    for rule, count in ((too_few, 1), (too_many, 3)):
        mine = declared(rule, rule.__name__)
        for args in ((x, one), (one, x), (x, x), (one, one)):
            message = told(
                TypeError, f"{rule.__name__}(float64[3], float64[3]): ", lambda m=mine, a=args: m(*a)
            )
            assert f"returned {count} vjps for 2 arrays by position (x, y)" in message
    assert "1 vjps for 3 arrays by position (xs, xs, xs)" in told(
        TypeError, "variadic(", lambda: declared(variadic, "variadic")(x, one, one)
    )
    message = told(TypeError, "mine(float64[3], 0): ", lambda: declared(no_keyword)(x, 0))
    assert "(x, axis)" in message
    assert message.endswith("what is no array is keyword-only")


def test_parameters_by_position_are_told_their_names() -> None:
    total = tape.PRIMITIVES["sum"]
    assert total(np.ones((2, 3)), axis=0).shape == (3,)
    message = told(TypeError, "sum takes one array", lambda: total(np.ones((2, 3)), 0))
    assert "['axis', 'keepdims']" in message


# --- on the way back ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vjp", "said"),
    [
        (lambda g: None, "NoneType; it must return a gradient of that shape"),
        (lambda g: 1.0, "float; it must return a gradient of that shape"),
        (lambda g: g.T, "one of shape (3, 2); it must have the shape of its array"),
        (np.ravel, "one of shape (6,); it must have the shape of its array"),
        (lambda g: np.sum(g, 0), "one of shape (3,); it must have the shape of its array"),
        (lambda g: g[:1], "one of shape (1, 3); it must have the shape of its array"),
    ],
)
def test_a_gradient_of_another_kind_or_shape(vjp: Callable[[Any], Any], said: str) -> None:
    def second(x: Any, y: Any) -> Any:
        return x * y, (lambda g: g * y, vjp)

    mine, x = declared(second), leaf(np.ones((2, 3)))
    for _ in range(2):
        made = "an array of shape (2, 3), made of a gradient float64[2, 3] "
        told(
            (TypeError, ValueError),  # type: ignore[arg-type]
            f"mine: the vjp of y, {made}{said}",
            lambda: mine(np.ones((2, 3)), x).backward(np.ones((2, 3))),
        )
        assert x.grad is None


def joint_rule(joint: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda x, y: (x * y, joint)


def test_a_joint_vjp_of_another_form() -> None:
    x = leaf(np.ones(3))
    for joint, said in (
        (lambda g: None, "its joint vjp returned NoneType; it must return a list of gradients"),
        (lambda g: [g], "its joint vjp returned 1 gradients for 2 arrays"),
        (lambda g: [g, g, g], "its joint vjp returned 3 gradients for 2 arrays"),
        (lambda g: [g[:1], g], "the vjp of x, an array of shape (3,)"),
    ):
        mine = declared(joint_rule(joint))
        told(
            (TypeError, ValueError),  # type: ignore[arg-type]
            f"mine: {said}",
            lambda mine=mine: mine(x, np.ones(3)).backward(np.ones(3)),  # type: ignore[misc]
        )
        assert x.grad is None


def test_a_joint_vjp_of_several_results() -> None:
    mine = declared(lambda x: ((x, x), lambda gs: [gs[0][:1]]))
    told(
        ValueError,
        "mine: the vjp of x, an array of shape (3,), made of gradients one of shape (1,)",
        lambda: mine(leaf(np.ones(3)))[0].backward(np.ones(3)),
    )


def test_an_error_inside_a_vjp_names_the_primitive() -> None:
    mine = declared(lambda x: (x, (lambda g: g @ np.ones((2, 2)),)))
    message = told(
        ValueError,
        "mine: its derivative failed with a gradient float64[3]: matmul: ",
        lambda: mine(leaf(np.ones(3))).backward(np.ones(3)),
    )
    assert "mismatch" in message


def test_a_wrong_gradient_in_a_second_derivative_names_the_primitive() -> None:
    mine = declared(lambda x: (x * x, (lambda g: None,)))
    told(TypeError, "mine: ", lambda: grad(grad(lambda x: mine(x)))(1.0))


def test_a_node_knows_its_primitive() -> None:
    x = leaf([1.0, 2.0])
    assert x.node is not None
    assert x.node.name == "leaf"
    for result, name in ((np.tanh(x), "tanh"), (x * 2.0, "multiply"), (np.split(x, 2)[0], "split_at")):
        assert result.node.name == name


def test_the_checks_leave_once_a_call_was_right() -> None:
    """They cost nothing later: the first call that is right in form is the only one that is looked at."""
    calls = []

    def counted(x: Any) -> Any:
        calls.append(1)
        return x, (lambda g: g,)

    mine = declared(counted)
    cells = dict(zip(mine.__code__.co_freevars, mine.__closure__, strict=True))  # type: ignore[attr-defined]
    assert cells["rule"].cell_contents is not counted
    mine(1.0)
    assert cells["rule"].cell_contents is counted
    assert len(calls) == 1
    assert np.array_equal(multiply(2.0, 3.0), 6.0)
