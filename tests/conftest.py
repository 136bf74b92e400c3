"""The order of the tests: what takes longest begins first, so that no worker waits for it at the end."""

import pytest

SLOW_TEST_FILES = ("test_train.py", "test_readme.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in SLOW_TEST_FILES)
