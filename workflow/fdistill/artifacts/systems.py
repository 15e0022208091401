"""Names of systems, which are folders of results: `js`, and `js-e2d1` for the same method with a student of size e2d1.

No method's name has a dash, so that the first one of a system's name ends the method.
"""

INIT_STUDENT = "init_student"  # the student before any method has trained it


def of_size(name: str, size: str | None) -> str:
    """Return what `name`, a method or `init_student`, is called in a size of the student; None is the default size."""
    return name if size is None else f"{name}-{size}"


def split_size(system: str) -> tuple[str, str | None]:
    """Return the name and the size that `of_size` made `system` of."""
    name, _, size = system.partition("-")
    return name, size or None
