"""Log densities for nutpie, compiled quickly.

nutpie's own ``compile_pymc_model`` takes about three times as long as this on a law's log density: it compiles error
texts that can never be raised, a general unpacking of shared data, and a function that expands each draw. Here the
same PyTensor function, of a point and one matrix of data, is wrapped for nutpie by a C callback of a dozen lines,
and draws are expanded afterwards, all at once. It leans on private parts of nutpie; ``compile_density`` checks the
result against PyTensor at a point and returns None where anything is not as expected, so that the caller takes
nutpie's plain path. Measured in benchmarks/first_fit.py.
"""

from __future__ import annotations

import ctypes
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray


def compile_density(point: Any, data: Any, log_density: Any, start: NDArray[np.float64]) -> Any | None:
    """A nutpie model of a log density, or None where nutpie has changed too much.

    Parameters
    ----------
    point : PyTensor vector of static shape (n,)
        Where the density is evaluated.
    data : PyTensor shared variable, a float matrix with a name
        Whatever else the density depends on; its number of rows is fixed, its number of columns is not.
    log_density : PyTensor scalar
        The log density.
    start : array, shape (n,)
        A point to check the compiled function at.

    Returns
    -------
    nutpie.compile_pymc.CompiledPyMCModel or None
        With one variable, ``z``; ``with_data`` exchanges the matrix by its name.
    """
    import pytensor.tensor as pt
    from pymc.pytensorf import compile as compile_function
    from pytensor.graph import rewrite_graph

    log_density = rewrite_graph(log_density, include=("canonicalize", "stabilize"))
    function = compile_function((point,), (log_density, pt.grad(log_density, point)), mode="NUMBA")
    try:
        compiled = _wrap(function, data, len(start))
        return compiled if _agrees(compiled, function, start) else None
    except (ImportError, AttributeError, TypeError, KeyError, ValueError):
        return None


def _wrap(function: Any, shared: Any, n: int) -> Any:
    import numba
    from numba import types
    from nutpie import compile_pymc as private

    (only,) = function.get_shared()
    if only is not shared:
        raise ValueError("the density depends on other shared data")
    value = np.array(shared.get_value(), dtype=np.float64, order="C")
    value.flags.writeable = False
    rows = value.shape[0]
    density, at_address = function.vm.jit_fn, private.address_as_void_pointer

    def log_density(n_given, point, gradient_out, value_out, record):  # type: ignore[no-untyped-def]
        # nutpie's record of one array holds its address, its size and its shape
        data = numba.carray(at_address(record[0]), (rows, record[1] // rows), np.float64)
        value, gradient = density(numba.carray(point, (n,)), data)
        value_out[0] = value.item()
        finite = np.isfinite(value_out[0])
        for i in range(n):  # a slice assignment would compile its error text, for seconds
            gradient_out[i] = gradient[i]
            finite = finite and np.isfinite(gradient[i])
        return 0 if finite else 3  # 3: nutpie's code for a point to retreat from

    def expand(n_given, n_out, point, out, record):  # type: ignore[no-untyped-def]
        for i in range(n):
            out[i] = point[i]
        return 0

    double = types.CPointer(types.double)
    of_density = types.int64(types.uint64, double, double, double, types.CPointer(types.uint64))
    of_expand = types.int64(types.uint64, types.uint64, double, double, types.voidptr)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Cannot cache compiled function", category=numba.NumbaWarning)
        c_density, c_expand = numba.cfunc(of_density)(log_density), numba.cfunc(of_expand)(expand)
    keys = {shared: "data"}
    return private.CompiledPyMCModel(
        compiled_logp_func=c_density,
        compiled_expand_func=c_expand,
        initial_point_func=lambda seed: np.zeros(n),
        shared_data={"data": value},
        shared_var_keys=keys,
        user_data=private.make_user_data(keys, {"data": value}),
        n_expanded=n,
        shape_info=(["z"], [slice(0, n)], [(n,)]),
        logp_func=function,
        expand_func=None,
        dims={},
        _n_dim=n,
        _shapes={"z": (n,)},
        _coords={},
        reparameterized_names=[],
    )


def _agrees(compiled: Any, function: Any, point: NDArray[np.float64]) -> bool:
    """Whether the C callback returns what the PyTensor function does."""
    value, gradient = function(point)
    out, out_value = np.zeros_like(point), np.zeros(1)
    addresses = [array.ctypes.data for array in (point, out, out_value, compiled.user_data)]
    callback = compiled.compiled_logp_func.ctypes
    typed = [ctypes.cast(a, kind) for a, kind in zip(addresses, callback.argtypes[1:], strict=True)]
    code = callback(len(point), *typed)
    return code == 0 and np.allclose(out_value[0], value) and np.allclose(out, gradient)
