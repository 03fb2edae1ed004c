"""One RocksDB on disk: what a partition number remembers, as ordered bytes, changed by one atomic write at a time.

It is used by one thread at a time. A process that dies between two writes finds the last one whole; a machine that dies
may find an older one, and never half of one.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import starmap
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

from rocksdict import (
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from streams.errors import CorruptStateError, StateDiskError

MIB = 1024 * 1024
# Shared by all partitions of a process, so that memory does not grow with their number. What does not fit is read from
# the system's own cache at the price of a copy.
BLOCK_CACHE_BYTES = 64 * MIB
# Small, because every partition has its own: a skip list of 4 MB is also quick to insert into.
MEMTABLE_BYTES = 4 * MIB
MEMTABLES_MAX = 3  # one takes writes, one is being flushed, one to spare
FILE_BYTES = 16 * MIB  # a checkpoint copies whole files: of small ones fewer bytes are new
LEVEL_BASE_BYTES = 4 * FILE_BYTES
BLOCK_BYTES = 4096
BLOOM_BITS_PER_KEY = 10  # one look in a hundred for a key that is not there goes to the disk
MEMTABLE_BLOOM_RATIO = 0.05  # of a memtable's size: ten bits for each of its keys of a hundred bytes
# Each holds its index and filter in memory. Many partitions must fit into the 1,024 that a process is usually allowed.
OPEN_FILES_MAX = 64
# They are held in two to the power of so many parts, none of which has more than its share: with the usual 64 parts, of
# one file each, two files of one part close each other at every other look.
OPEN_FILES_PART_BITS = 0
WAL_BYTES_MAX = 32 * MIB  # also bounds what is read again at opening
MANIFEST_BYTES_MAX = 4 * MIB
LOG_FILES_MAX = 2  # RocksDB's own log, for whoever looks into a broken one
LOG_BYTES_MAX = 1 * MIB
BACKGROUND_JOBS = 2  # a flush and a compaction beside each other


def shared_cache() -> Cache:
    return Cache(BLOCK_CACHE_BYTES)


class Rocks:
    """``create`` makes a new one; otherwise one that is not there, or not whole, is a ``CorruptStateError``."""

    def __init__(self, folder: Path, cache: Cache, *, create: bool = False) -> None:
        self.folder = folder
        self._write_options = _write_options()
        try:
            options = _options(cache, create=create)
            # Without the second mention an existing one is opened with the options that lie in its folder, and filters
            # and the cache cannot be written down there.
            self._db = Rdict(str(folder), options, column_families={"default": options})
        except Exception as error:  # rocksdict knows no other class
            raise self._explained(error) from error

    def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if not keys:
            return []
        try:
            return cast(list[bytes | None], self._db.get(list(keys)))
        except Exception as error:
            raise self._explained(error) from error

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Must be read to its end or dropped before ``close``: an iterator keeps the database open."""
        rows = self._db.iter()
        rows.seek(prefix + start)
        while rows.valid():
            key: bytes = rows.key()
            if not key.startswith(prefix):
                return
            yield key, rows.value()
            rows.next()
        self._check(rows)

    def last(self, prefix: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        rows = self._db.iter()
        rows.seek_for_prev(prefix + end)
        if not rows.valid():
            self._check(rows)
            return None
        key: bytes = rows.key()
        return (key, rows.value()) if key.startswith(prefix) else None

    def write(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes]) -> None:
        """All of it or nothing."""
        batch = WriteBatch(raw_mode=True)
        in_order = sorted(puts, key=itemgetter(0))  # neighbours in a row halve the cost of a put
        deque(starmap(batch.put, in_order), maxlen=0)  # a loop of Python's own costs twice as much
        deque(map(batch.delete, sorted(deletes)), maxlen=0)
        try:
            self._db.write(batch, self._write_options)
        except Exception as error:
            raise self._explained(error) from error

    def checkpoint(self, folder: Path) -> None:
        """Makes the folder: all that was written, as files that will not change. Hard links, so on the same disk."""
        try:
            Checkpoint(self._db).create_checkpoint(str(folder))
        except Exception as error:
            raise self._explained(error) from error

    def sizes(self) -> dict[str, int]:
        """In bytes, except the estimated number of keys."""
        return {
            "files": self._number("rocksdb.total-sst-files-size"),
            "memtables": self._number("rocksdb.cur-size-all-mem-tables"),
            "readers": self._number("rocksdb.estimate-table-readers-mem"),
            "keys": self._number("rocksdb.estimate-num-keys"),
        }

    def close(self) -> None:
        try:
            self._db.close()
        except Exception as error:
            raise self._explained(error) from error

    def _number(self, name: str) -> int:
        return self._db.property_int_value(name) or 0

    def _check(self, rows: Any) -> None:
        """An iterator that meets a broken block looks like one that has come to its end."""
        try:
            rows.status()
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> CorruptStateError | StateDiskError:
        said = str(error)
        # A file that it cannot be without and that is not there is an invalid argument or an error of the disk to it.
        if said.startswith(("Corruption", "Invalid argument")) or "No such file or directory" in said:
            return CorruptStateError(said, where=str(self.folder))
        advice = "see whether the disk is full or broken; the next start goes on from the last whole write"
        return StateDiskError(said, where=str(self.folder), advice=advice)


def _options(cache: Cache, *, create: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.set_error_if_exists(create)
    # What lies behind a torn or lost piece of the log is not applied: an older state, but a whole one.
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_max_total_wal_size(WAL_BYTES_MAX)
    options.set_write_buffer_size(MEMTABLE_BYTES)
    options.set_max_write_buffer_number(MEMTABLES_MAX)
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO)
    options.set_compression_type(DBCompressionType.none())
    options.set_target_file_size_base(FILE_BYTES)
    options.set_max_bytes_for_level_base(LEVEL_BASE_BYTES)
    options.set_max_background_jobs(BACKGROUND_JOBS)
    options.set_max_open_files(OPEN_FILES_MAX)
    options.set_table_cache_num_shard_bits(OPEN_FILES_PART_BITS)
    options.set_max_manifest_file_size(MANIFEST_BYTES_MAX)
    options.set_keep_log_file_num(LOG_FILES_MAX)
    options.set_max_log_file_size(LOG_BYTES_MAX)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_block_based_table_factory(_tables(cache))
    return options


def _tables(cache: Cache) -> BlockBasedOptions:
    tables = BlockBasedOptions()
    tables.set_block_cache(cache)
    tables.set_block_size(BLOCK_BYTES)
    tables.set_bloom_filter(BLOOM_BITS_PER_KEY, False)
    tables.set_format_version(5)  # the first with filters that stay sharp in large files
    return tables


def _write_options() -> WriteOptions:
    options = WriteOptions()
    options.memtable_insert_hint_per_batch = True
    return options
