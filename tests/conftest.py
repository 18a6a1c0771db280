"""The order of all tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: of two processes none waits for it at the end."""
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)
