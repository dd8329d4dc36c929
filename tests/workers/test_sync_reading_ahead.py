"""Card documents are read and hashed in other threads, a few ahead of the rows."""

import json
from itertools import islice

import pytest

from workers.sync.source import Folder, UnreadableCatalogueError, digest, digested

SETS = [f"set{number}" for number in range(20)]


class Counting(Folder):
    """A folder that records what was read."""

    def __init__(self, root):
        super().__init__(root)
        self.read = []

    def cards(self, set_id):
        self.read.append(set_id)
        return super().cards(set_id)


@pytest.fixture
def folder(tmp_path):
    for set_id in SETS:
        path = tmp_path / "cards" / f"{set_id}.d" / "cards.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"data": [{"id": f"{set_id}-1"}]}))
    return tmp_path


def test_each_set_gets_its_own_document_and_digest(folder):
    source = Folder(folder)

    found = [read() for read in digested(source, SETS)]

    assert found == [(source.cards(one), digest(source.cards(one))) for one in SETS]


def test_an_unreadable_document_fails_where_its_set_is_due(folder):
    (folder / "cards" / "set7.d" / "cards.json").unlink()

    reads = list(digested(Folder(folder), SETS))

    with pytest.raises(UnreadableCatalogueError, match=r"set7\.d/cards\.json does not exist"):
        reads[7]()
    assert all(read() for number, read in enumerate(reads) if number != 7)


def test_no_more_documents_are_read_than_are_soon_needed(folder):
    source = Counting(folder)
    reads = digested(source, SETS)

    for read in islice(reads, 5):
        read()
    reads.close()

    assert len(source.read) <= 5 + source.ahead


def test_a_source_without_ahead_is_read_only_when_asked(folder):
    source = Counting(folder)
    source.ahead = 0

    reads = list(digested(source, SETS))

    assert source.read == []
    document = Folder(folder).cards("set3")
    assert reads[3]() == (document, digest(document))
    assert source.read == ["set3"]
