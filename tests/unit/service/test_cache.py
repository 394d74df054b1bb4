"""What is kept, and what makes room for what."""

from app.service.cache import Cache


def test_the_entry_longest_unused_makes_room() -> None:
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert cache.get("b") is None
    assert (cache.get("a"), cache.get("c")) == (1, 3)
    assert cache.statistics() == {"entries": 2, "hits": 3, "misses": 1, "hit_rate": 0.75}


def test_all_entries_together_weigh_no_more_than_allowed() -> None:
    cache: Cache[int, int] = Cache(10)
    for key in range(5):
        cache.put(key, key, 3)
    assert [cache.get(key) for key in range(5)] == [None, None, 2, 3, 4]
    cache.put(5, 5, 10)
    assert [cache.get(key) for key in range(6)] == [None] * 5 + [5]
    cache.put(6, 6, 11)
    assert cache.statistics()["entries"] == 0, "too heavy to be kept at all"


def test_a_new_value_takes_the_place_of_the_old() -> None:
    cache: Cache[str, int] = Cache(10)
    for value in range(8):
        cache.put("a", value, 4)
    cache.put("b", 1, 6)
    assert (cache.get("a"), cache.get("b")) == (7, 1)


def test_a_cache_of_no_size_keeps_nothing() -> None:
    cache: Cache[str, int] = Cache(0)
    cache.put("a", 1)
    assert cache.get("a") is None
    assert cache.statistics()["hit_rate"] == 0.0
