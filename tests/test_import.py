"""Importing tinygrad_np brings in NumPy and the standard library, and little of either."""

import json
import subprocess
import sys


def modules_after(statements: str) -> list[str]:
    """The modules that a fresh interpreter has after these statements, beyond those that it started with."""
    program = f"import sys; before = set(sys.modules); {statements}; import json; "
    program += "print(json.dumps(sorted(set(sys.modules) - before)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [str(name) for name in json.loads(run.stdout)]


def foreign(modules: list[str]) -> set[str]:
    """The packages among them that belong neither to Python nor to NumPy nor to the framework."""
    ours = {"numpy", "tinygrad_np", *sys.stdlib_module_names}
    return {name for name in (module.partition(".")[0] for module in modules) if name not in ours}


def test_imports_nothing_but_numpy_and_the_standard_library() -> None:
    modules = modules_after("import tinygrad_np")
    assert {"numpy", "tinygrad_np", "tinygrad_np.tape"} <= set(modules)
    assert foreign(modules) == set()


def test_that_check_sees_a_foreign_package() -> None:
    assert "hypothesis" in foreign(modules_after("import tinygrad_np.testing"))


def test_import_adds_few_modules_to_numpys() -> None:
    # Modules are counted and not seconds. These two trees would cost most: the test runners and typing.
    added = set(modules_after("import numpy; before = set(sys.modules); import tinygrad_np"))
    ours = {name for name in added if name.partition(".")[0] == "tinygrad_np"}
    assert len(ours) >= 5  # the counter sees something
    assert len(added - ours) <= 12, f"beyond its own modules it imports {sorted(added - ours)}"
    for heavy in ("unittest", "asyncio", "multiprocessing", "http", "numpy.testing", "numpy.f2py"):
        assert heavy not in added


def test_every_public_name_is_there() -> None:
    import tinygrad_np

    assert len(set(tinygrad_np.__all__)) == len(tinygrad_np.__all__) > 0
    for name in tinygrad_np.__all__:
        assert getattr(tinygrad_np, name) is not None
