"""torch, transformers and bert-score without what they import and no job uses: half of what a start takes.

- torch's compiler, `torch._dynamo`, which one decorator is enough to import: of torch itself, of every optimiser, of
  transformers' kernels. It stands there empty until somebody asks it for more than such a decorator.
- torch's Python kernels for tensors without data, on the device `meta`. A model is made there before its weights are
  loaded; for our families the kernels in C++ do. Who makes a model of any kind does so by `made`.
- What transformers imports where it is installed (`ABSENT`): it sees none of it. Metrics, figures and preparation
  import these for themselves.
- transformers' list of its models, which it draws up from the texts of its 1,600 files, and then once more.
- transformers' parallelism, as in a torch that was built without.
- The search for garbage, while torch and transformers are imported.
- What bert-score imports to draw pictures and read its baselines (`late`), until it does.

Results are the same without all this. A process of torchrun's, whose parallelism needs most of it, goes without. So
does an environment with TRL, an opponent in the benchmark, which needs what transformers would not see.
"""

import gc
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, TypeVar

ABSENT = ("PIL", "accelerate", "pandas", "scipy", "sklearn", "torchvision")
COMPILER, META_KERNELS = "torch._dynamo", "torch._meta_registrations"
ALONE = f"{COMPILER}._trace_wrapped_higher_order_op"  # all that transformers imports of it, and a module of its own
_WHOLE = "_fdistill_whole"

Model = TypeVar("Model")
Load = Callable[[ModuleType], None]


def install() -> None:
    """From now on, in this process; before torch and transformers are imported."""
    if "TORCHELASTIC_RUN_ID" not in os.environ and importlib.util.find_spec("trl") is None:
        sys.meta_path.insert(0, _Finder())


def made(make: Callable[[], Model]) -> Model:
    """What `make` makes, a model of any kind: with the kernels for the device `meta` if it needs them."""
    try:
        return make()
    except NotImplementedError:
        complete(META_KERNELS)
        return make()


def complete(name: str) -> None:
    """Load all of a module that stands empty."""
    if name == COMPILER:
        complete(META_KERNELS)  # which it needs
    module = sys.modules.get(name)
    if module is not None and (whole := vars(module).pop(_WHOLE, None)):
        vars(module).pop("__getattr__", None)
        whole(module)


class _Finder:
    """Finds the modules of `_LOADS` as everyone does, and loads them otherwise."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.startswith(f"{COMPILER}.") and name != ALONE:  # parts of the compiler, that need each other
            complete(COMPILER)
        spec = PathFinder.find_spec(name, path, target) if name in _LOADS else None
        if spec is not None:
            spec.loader.exec_module = partial(_LOADS[name], whole=spec.loader.exec_module)
        return spec


def _compiler(module: ModuleType, whole: Load) -> None:
    """What marks functions for the compiler, and all of it once anything else is asked for."""

    def unmarked(function: Callable | None = None, *_: Any, **__: Any) -> Callable:
        return unmarked if function is None else function

    def rest(name: str) -> Any:
        if name.startswith("__"):  # the import system's own questions
            raise AttributeError(name)
        complete(COMPILER)
        return getattr(module, name)

    _empty(module, whole)
    module.disable = module.allow_in_graph = module.assume_constant_result = unmarked
    module.graph_break = lambda *_, **__: None
    module.__getattr__ = rest


def _meta_kernels(module: ModuleType, whole: Load) -> None:
    """None of them, but what a `torch.Generator` needs, which comes with them and all primitives of the compiler."""
    _empty(module, whole)
    metaclass = importlib.import_module("torch._opaque_base").OpaqueBaseMeta
    sys.modules["torch"]._C._set_generator_metaclass(metaclass)


def _empty(module: ModuleType, whole: Load) -> None:
    setattr(module, _WHOLE, whole)


def _torch(module: ModuleType, whole: Load) -> None:
    with _without_collection():
        whole(module)


def _transformers(module: ModuleType, whole: Load) -> None:
    """transformers, and at once all of it that looks for other packages when it is imported."""
    with _without(ABSENT), _without_collection():
        whole(module)
        importlib.import_module("transformers.modeling_utils")
        importlib.import_module("transformers.generation.utils")


def _transformers_imports(module: ModuleType, whole: Load) -> None:
    """How transformers looks for its models, quicker: the list is the same."""
    whole(module)
    names = module.fetch__all__
    module.fetch__all__ = lambda text: names(text[max(text.rfind("\n__all__"), 0) :])  # of a file, from its last one on
    # Kept for 128 folders of 500, it is gone when the list is made again.
    module.create_import_structure_from_path = lru_cache(None)(module.create_import_structure_from_path.__wrapped__)
    module.is_torch_distributed_available = lambda: False


_LOADS = {
    COMPILER: _compiler,
    META_KERNELS: _meta_kernels,
    "torch": _torch,
    "transformers": _transformers,
    "transformers.utils.import_utils": _transformers_imports,
}


class _Later(ModuleType):
    """A module, or something in it, that is imported when it is called."""

    def __getattr__(self, name: str) -> "_Later":
        if name.startswith("__"):  # the import system's own questions
            raise AttributeError(name)
        return _Later(f"{self.__name__}.{name}")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return pkgutil.resolve_name(self.__name__)(*arguments, **named)


@contextmanager
def late(*names: str) -> Iterator[None]:
    """Who imports one of these modules within gets a stand-in, whose functions import it when they are called."""
    standing_in = {name: _Later(name) for name in names if name not in sys.modules}
    sys.modules.update(standing_in)
    try:
        yield
    finally:
        for name in standing_in:
            del sys.modules[name]


@contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """As if the packages `names` were not installed, for who looks for them; those that are imported already stay."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _without_collection() -> Iterator[None]:
    """No looking for garbage among a million new objects, none of which is."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


class _Refusal:
    """Refuses one import. Who is written in Cython takes the None of `_without` for the module."""

    def __init__(self, name: str):
        self.name = name

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name == self.name:
            raise ModuleNotFoundError(f"not imported here: {name}", name=name)


@contextmanager
def refused(name: str) -> Iterator[None]:
    """Module `name` cannot be imported within; it stays if it has been before."""
    refusal = _Refusal(name)
    sys.meta_path.insert(0, refusal)
    try:
        yield
    finally:
        sys.meta_path.remove(refusal)
