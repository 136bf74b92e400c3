"""A user's module that cannot be imported."""

raise ValueError("bad constant")
