"""A RocksDB of a partition: what is read, what a write is, and what becomes of one that is torn or damaged."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.errors import CorruptStateError, StateDiskError
from streams.rocks import BLOCK_CACHE_BYTES, OPEN_FILES_MAX, Rocks, shared_cache

REPOSITORY = Path(__file__).resolve().parents[2]

# Writes numbered batches of a hundred keys each and says so after every write, until it is killed.
WRITER = """
import sys
from pathlib import Path
from streams.rocks import BLOCK_CACHE_BYTES, Rocks, shared_cache
rocks = Rocks(Path(sys.argv[1]), shared_cache(), create=True)
for number in range(int(sys.argv[2])):
    rocks.write([(b"k%02d" % key, b"%d" % number) for key in range(100)], [])
    print(number, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def rocks(tmp_path: Path):
    rocks = Rocks(tmp_path / "db", shared_cache(), create=True)
    yield rocks
    rocks.close()


def test_reading_gives_values_in_the_order_of_the_keys(rocks: Rocks):
    rocks.write([(b"b", b"2"), (b"a", b"1"), (b"e", b"")], [])
    assert list(rocks.read([b"b", b"c", b"a", b"b", b"e"])) == [b"2", None, b"1", b"2", b""]
    assert list(rocks.read([])) == []


def test_a_scan_keeps_to_its_prefix_and_begins_where_it_is_told(rocks: Rocks):
    rocks.write([(b"a" + bytes([n]), b"%d" % n) for n in (0, 7, 254, 255)], [])
    rocks.write([(b"", b"least"), (b"b", b"next"), (b"\xff\xff", b"last")], [])
    assert [value for _, value in rocks.scan(b"a")] == [b"0", b"7", b"254", b"255"]
    assert [value for _, value in rocks.scan(b"a", bytes([7]))] == [b"7", b"254", b"255"]
    assert [key for key, _ in rocks.scan(b"\xff")] == [b"\xff\xff"]
    assert len(list(rocks.scan(b""))) == 7


def test_the_last_is_the_greatest_key_of_the_prefix_that_is_not_above(rocks: Rocks):
    rocks.write([(b"a1", b"1"), (b"a5", b"5"), (b"b0", b"b")], [])
    assert rocks.last(b"a", b"4") == (b"a1", b"1")
    assert rocks.last(b"a", b"5") == (b"a5", b"5")
    assert rocks.last(b"a", b"\xff") == (b"a5", b"5")
    assert rocks.last(b"a", b"0") is None
    assert rocks.last(b"b", b"") is None
    assert rocks.last(b"c", b"9") is None


def test_one_write_puts_and_deletes(rocks: Rocks):
    rocks.write([(b"a", b"1"), (b"b", b"2")], [])
    rocks.write([(b"c", b"3")], [b"a", b"nothing"])
    assert [key for key, _ in rocks.scan(b"")] == [b"b", b"c"]


def test_a_checkpoint_is_a_database_of_its_own_that_later_writes_do_not_touch(rocks: Rocks, tmp_path: Path):
    rocks.write([(b"a", b"1")], [])
    rocks.checkpoint(tmp_path / "copy")
    rocks.write([(b"a", b"2"), (b"b", b"2")], [])
    copy = Rocks(tmp_path / "copy", shared_cache())
    assert list(copy.scan(b"")) == [(b"a", b"1")]
    copy.close()


def test_a_scan_that_was_dropped_half_way_does_not_keep_the_database_open(tmp_path: Path):
    rocks = Rocks(tmp_path / "db", shared_cache(), create=True)
    rocks.write([(b"a", b"1"), (b"b", b"2")], [])
    rows = rocks.scan(b"")
    next(rows)
    del rows
    rocks.close()
    Rocks(tmp_path / "db", shared_cache()).close()


def test_one_database_is_opened_once(rocks: Rocks):
    with pytest.raises(StateDiskError, match="lock"):
        Rocks(rocks.folder, shared_cache())


def test_a_place_with_something_in_it_is_not_made_anew(tmp_path: Path):
    Rocks(tmp_path / "db", shared_cache(), create=True).close()
    with pytest.raises(CorruptStateError, match="exists"):
        Rocks(tmp_path / "db", shared_cache(), create=True)


def killed_after(folder: Path, writes: int) -> None:
    """A process that wrote so often and was killed."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(writes)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdin
    assert writer.stdout
    with writer.stdin, writer.stdout:
        while writer.stdout.readline() != b"%d\n" % (writes - 1):
            assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)


def values(folder: Path) -> set[bytes]:
    rocks = Rocks(folder, shared_cache())
    try:
        assert len(list(rocks.scan(b""))) in (0, 100)
        return {value for _, value in rocks.scan(b"")}
    finally:
        rocks.close()


def log_of(folder: Path) -> Path:
    return max(folder.glob("*.log"), key=lambda path: path.stat().st_size)


def test_a_killed_process_leaves_its_last_write_whole(tmp_path: Path):
    killed_after(tmp_path / "db", 20)
    assert values(tmp_path / "db") == {b"19"}


def test_a_torn_log_is_an_older_state_and_never_half_a_write(tmp_path: Path):
    killed_after(tmp_path / "whole", 20)
    size = log_of(tmp_path / "whole").stat().st_size
    seen = set()
    for cut in range(0, size, size // 12):
        folder = tmp_path / str(cut)
        subprocess.run(["cp", "-r", tmp_path / "whole", folder], check=True)
        os.truncate(log_of(folder), cut)
        (found,) = values(folder) or {None}
        seen.add(found)
    assert len(seen) > 6
    assert b"19" not in seen


def test_a_flipped_bit_in_the_log_ends_it_there(tmp_path: Path):
    killed_after(tmp_path / "db", 20)
    flip(log_of(tmp_path / "db"), 1 / 2)
    (found,) = values(tmp_path / "db")
    assert 5 < int(found) < 15


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)


def full_of_rows(folder: Path) -> Path:
    rocks = Rocks(folder, shared_cache(), create=True)
    rocks.write([(b"%06d" % n, os.urandom(50)) for n in range(20_000)], [])
    rocks.close()
    return folder


def the_only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "CURRENT").unlink(),
        lambda folder: (folder / "CURRENT").write_bytes(b""),
        lambda folder: the_only(folder, "MANIFEST*").unlink(),
        lambda folder: flip(the_only(folder, "MANIFEST*"), 1 / 4),
        lambda folder: the_only(folder, "*.sst").unlink(),
        lambda folder: os.truncate(the_only(folder, "*.sst"), 1_000),
    ],
    ids=["no CURRENT", "empty CURRENT", "no MANIFEST", "bit in MANIFEST", "no table", "cut table"],
)
def test_damage_to_the_files_that_hold_it_together_is_seen_at_opening(tmp_path: Path, damage):
    damage(full_of_rows(tmp_path / "db"))
    with pytest.raises(CorruptStateError):
        Rocks(tmp_path / "db", shared_cache())


def test_damage_to_a_row_is_seen_when_it_is_read(tmp_path: Path):
    flip(the_only(full_of_rows(tmp_path / "db"), "*.sst"), 1 / 2)
    rocks = Rocks(tmp_path / "db", shared_cache())
    with pytest.raises(CorruptStateError, match="checksum"):
        rocks.read([b"%06d" % n for n in range(20_000)])
    with pytest.raises(CorruptStateError, match="checksum"):
        list(rocks.scan(b""))
    rocks.close()


def test_memory_does_not_grow_with_what_is_kept(tmp_path: Path):
    rocks = Rocks(tmp_path / "db", shared_cache(), create=True)
    for start in range(0, 400_000, 10_000):  # what is flushed may be three memtables behind
        rocks.write([(b"%08d" % n, os.urandom(60)) for n in range(start, start + 10_000)], [])
    sizes = rocks.sizes()
    assert sizes["memtables"] < 16 << 20
    assert sizes["files"] > 8 << 20
    rocks.close()


def test_one_that_is_opened_again_has_the_options_that_a_new_one_has(tmp_path: Path):
    """What RocksDB keeps of them in the folder knows neither of filters nor of a cache that is shared."""
    folder = tmp_path / "db"
    Rocks(folder, shared_cache(), create=True).close()
    made = _table_options(folder)
    assert "filter_policy=bloomfilter" in made
    again = Rocks(folder, shared_cache())
    assert _table_options(folder) == made
    assert again._db.property_int_value("rocksdb.block-cache-capacity") == BLOCK_CACHE_BYTES
    again.close()


def _table_options(folder: Path) -> str:
    """As RocksDB has written down what it was opened with last."""
    newest = max(folder.glob("OPTIONS-*"), key=lambda path: path.name)
    return newest.read_text().partition("[TableOptions")[2]


def test_what_has_been_opened_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is closed for another one is read anew, filter and all, with the next look: many times its price."""
    monkeypatch.setattr("streams.rocks.MEMTABLE_BYTES", 64 * 1024)
    keys, folder = [b"%06d" % number for number in range(30_000)], tmp_path / "db"
    rocks = Rocks(folder, shared_cache(), create=True)
    for start in range(0, len(keys), 100):
        rocks.write([(key, bytes(150)) for key in keys[start : start + 100]], [])

    def all_are_open() -> bool:
        for start in range(0, len(keys), 500):
            assert None not in rocks.read(keys[start : start + 500])
        opened = {path.resolve().name for path in Path("/proc/self/fd").iterdir()}
        tables = {path.name for path in folder.glob("*.sst")}
        return 20 < len(tables) < OPEN_FILES_MAX and tables <= opened

    assert any(all_are_open() for _ in range(100))  # they are still being put in order
    rocks.close()
