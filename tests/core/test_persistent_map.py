"""PersistentMap behaves like a dict that keeps every version."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from supervisor.core.persistent_map import PersistentMap

# Few keys, so that they repeat; many equal low bits, so that they share buckets.
KEYS = st.one_of(st.integers(0, 60), st.integers(0, 40).map(lambda n: n * 1440), st.text("ab"))


class Versions(RuleBasedStateMachine):
    """Change a map and a dict alike, and check that earlier versions stay the same."""

    def __init__(self) -> None:
        super().__init__()
        self.map: PersistentMap[object, int] = PersistentMap()
        self.model: dict[object, int] = {}
        self.earlier: list[tuple[PersistentMap[object, int], dict[object, int]]] = []

    def _keep(self) -> None:
        self.earlier = [*self.earlier[-20:], (self.map, dict(self.model))]

    @rule(key=KEYS, value=st.integers())
    def set_one(self, key: object, value: int) -> None:
        self._keep()
        self.map, self.model[key] = self.map.set(key, value), value

    @rule(first=st.integers(0, 10_000), count=st.integers(0, 300))
    def set_a_run_of_numbers(self, first: int, count: int) -> None:
        self._keep()
        for key in range(first, first + count):
            self.map, self.model[key] = self.map.set(key, key), key

    @rule(entries=st.dictionaries(KEYS, st.integers()), as_pairs=st.booleans())
    def update(self, entries: dict[object, int], as_pairs: bool) -> None:
        self._keep()
        self.map = self.map.update(entries.items() if as_pairs else entries)
        self.model.update(entries)

    @rule(key=KEYS)
    def delete_one(self, key: object) -> None:
        self._keep()
        if key in self.model:
            self.map = self.map.delete(key)
            del self.model[key]
        else:
            with pytest.raises(KeyError):
                self.map.delete(key)

    @rule(data=st.data())
    def delete_many(self, data: st.DataObject) -> None:
        self._keep()
        share = data.draw(st.integers(1, 10))
        gone = [key for place, key in enumerate(self.model) if place % share == 0]
        self.map = self.map.delete_many(gone)
        for key in gone:
            del self.model[key]

    @invariant()
    def it_equals_the_dict(self) -> None:
        assert len(self.map) == len(self.model)
        assert self.map == self.model
        assert set(self.map) == set(self.model)
        assert sorted(self.map.values()) == sorted(self.model.values())
        assert dict(self.map.items()) == self.model
        assert PersistentMap(self.model) == self.map

    @invariant()
    def earlier_versions_are_unchanged(self) -> None:
        assert all(version == model for version, model in self.earlier)


TestVersions = Versions.TestCase
TestVersions.settings = settings(stateful_step_count=30)


@given(st.dictionaries(KEYS, st.integers()), KEYS)
def test_a_look_up_says_what_a_dict_says(entries: dict[object, int], key: object) -> None:
    made = PersistentMap(entries)

    assert made.get(key) == entries.get(key)
    assert made.get(key, -1) == entries.get(key, -1)
    assert (key in made) == (key in entries)
    assert bool(made) == bool(entries)


def test_a_missing_key_is_a_key_error_that_names_it() -> None:
    made = PersistentMap({"a": 1})

    with pytest.raises(KeyError, match="b"):
        made["b"]
    with pytest.raises(KeyError, match="b"):
        made.delete_many(["a", "b"])
    assert made == {"a": 1}


def test_a_map_that_was_large_becomes_small_again() -> None:
    """Iterating an emptied map of runs must not cost what its largest size did."""
    large = PersistentMap({number: number for number in range(10_000)})

    small = large.delete_many(range(3, 10_000))

    assert sorted(small) == [0, 1, 2]
    assert len(small._buckets) == 1
