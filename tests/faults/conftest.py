"""One nursery and one undisturbed lab for all tests of faults."""

import shutil
from collections.abc import Iterator

import pytest
from lab import Reference, reference
from machine import machine, quick_folder


@pytest.fixture(scope="session")
def undisturbed() -> Iterator[Reference]:
    folder = quick_folder()
    nursery = machine(folder)
    try:
        yield reference(nursery, folder)
    finally:
        nursery.close()
        shutil.rmtree(folder)
