import threading
import time

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.read_ahead import ITEMS_AHEAD, THREADS, read_ahead


def test_items_come_in_order_from_any_first_one_whatever_each_takes():
    def read(number):
        time.sleep(0.002 * (number % 3))
        return number**2

    assert list(read_ahead(read, range(7, 40))) == [number**2 for number in range(7, 40)]


def test_no_more_is_read_than_is_soon_wanted_and_nothing_once_it_is_closed():
    seen, lock = [], threading.Lock()

    def read(number):
        with lock:
            seen.append(number)
        return number

    items = read_ahead(read, range(1000))
    for _ in range(10):
        next(items)
    time.sleep(0.2)
    assert 10 <= len(seen) <= 10 + ITEMS_AHEAD + THREADS
    items.close()
    before = len(seen)
    time.sleep(0.1)
    assert len(seen) == before


def test_an_error_comes_out_where_its_item_would():
    def read(number):
        if number == 5:
            raise UserError("the disk is on fire")
        return number

    items = read_ahead(read, range(10))
    assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match="on fire"):
        next(items)
