"""One nursery and one undisturbed lab for all tests of faults."""

import shutil
from collections.abc import Iterator

import pytest
from machine import machine, quick_folder
from toy_lab import Reference, reference


@pytest.fixture(scope="session")
def undisturbed() -> Iterator[Reference]:
    folder = quick_folder()
    nursery = machine(folder)
    try:
        yield reference(nursery, folder)
    finally:
        nursery.close()
        shutil.rmtree(folder)
