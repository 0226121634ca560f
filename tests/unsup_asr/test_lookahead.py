from concurrent.futures import ThreadPoolExecutor

import pytest

from unsup_asr.lookahead import map_ahead


def test_results_come_in_order_and_only_a_few_are_made_ahead() -> None:
    started: list[int] = []

    def double(number: int) -> int:
        started.append(number)
        return 2 * number

    with ThreadPoolExecutor(4) as pool:
        results = map_ahead(pool, double, range(100), ahead=3)
        assert [next(results), next(results)] == [0, 2]
        pool.submit(lambda: None).result()
        assert len(started) <= 5
        assert list(results) == list(range(4, 200, 2))


def test_an_error_comes_where_its_result_would() -> None:
    with ThreadPoolExecutor(1) as pool:
        results = map_ahead(pool, lambda x: 1 // x, [1, 0], ahead=8)
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
