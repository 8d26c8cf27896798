"""Bugs in what a disk is asked for, and in what is made of it afterwards."""

from tests.planted.bug import bug

DAMAGE = "bankd/storage/damage.py"
DATA_DIR = "bankd/storage/data_dir.py"
RECORDS = "bankd/storage/records.py"
SCAN = "bankd/storage/scan.py"
SEGMENT = "bankd/storage/segment.py"
WAL = "bankd/storage/wal.py"

SYNC = "        self._file.sync()\n        # The copy comes second"
WRITE_AGAIN = "            file.pwrite(read.last_batch.data, read.last_batch.offset)\n            file.sync()\n"

BUGS_ON_DISKS = (
    bug(
        "sync-does-nothing",
        "a write counts as durable without a sync",
        (WAL, SYNC, "        # The copy comes second"),
    ),
    bug(
        "failed-sync-tried-again",
        "a sync that failed is tried again, and its second answer is believed",
        (
            WAL,
            SYNC,
            "        try:\n            self._file.sync()\n        except DiskFailed:\n            self._file.sync()\n"
            "        # The copy comes second",
        ),
        (WAL, "import attrs\n\n", "import attrs\n\nfrom bankd.errors import DiskFailed\n"),
    ),
    bug(
        "failed-write-ignored",
        "a write that failed is synced and acknowledged all the same",
        (
            WAL,
            "        self._file.pwrite(batch, place.sector * SECTOR_BYTES)\n        self._bytes_written",
            "        try:\n            self._file.pwrite(batch, place.sector * SECTOR_BYTES)\n"
            "        except DiskFailed:\n            pass\n        self._bytes_written",
        ),
        (WAL, "import attrs\n\n", "import attrs\n\nfrom bankd.errors import DiskFailed\n"),
    ),
    bug(
        "page-cache-believed",
        "what a start reads behind the last good sync counts as durable, though only memory may hold it",
        (WAL, WRITE_AGAIN, "            pass\n"),
    ),
    bug(
        "segment-name-not-synced",
        "the directory is not synced after a segment got its name",
        (SEGMENT, "    disk.fsync_dir(path.parent)\n", ""),
    ),
    bug(
        "data-directory-not-synced",
        "the names of the data directory and of what stands in it are not synced",
        (DATA_DIR, "            disk.fsync_dir(path)\n            disk.fsync_dir(path.parent)\n", ""),
    ),
    bug(
        "segment-header-not-synced",
        "a segment gets its name before its header is durable",
        (
            SEGMENT,
            "        file.pwrite(sector + batch, 0)\n        file.sync()\n",
            "        file.pwrite(sector + batch, 0)\n",
        ),
    ),
    bug(
        "sealed-before-the-next-segment",
        "a segment is sealed before the one after it is there",
        (
            WAL,
            "        nonce, number = self._options.new_nonce(), self._place.number + 1\n",
            "        nonce, number = self._options.new_nonce(), self._place.number + 1\n"
            "        sealed = self._next_index, running_crc\n"
            "        self._append(seal, running_crc)\n"
            "        self._file.sync()\n",
        ),
        (
            WAL,
            "        spare.renamed()\n        self._append(seal, running_crc)\n        self._file.sync()\n",
            "        spare.renamed()\n",
        ),
        (
            WAL,
            "header = SegmentHeader(self.sequence + 1, self._next_index, number, nonce, spare.capacity, running_crc)",
            "header = SegmentHeader(self.sequence + 1, sealed[0], number, nonce, spare.capacity, sealed[1])",
        ),
    ),
    bug(
        "seal-not-synced",
        "the next segment is written before the seal of the last one is durable",
        (
            WAL,
            "        self._append(seal, running_crc)\n        self._file.sync()\n",
            "        self._append(seal, running_crc)\n",
        ),
    ),
    bug(
        "rot-cut-off",
        "the log is cut at the first batch that does not read well, whatever follows and whoever damaged it",
        (
            SCAN,
            "    if (later := later_batch(data, place)) is not None:",
            "    if (later := later_batch(data, place)) is None and later is not None:",
        ),
        (
            SCAN,
            "    if reason is None:\n        return Rot(place, str(damage), damage.records, None)\n",
            "    if reason is None:\n        reason = str(damage)\n",
        ),
    ),
    bug(
        "rot-in-the-last-batch-cut-off",
        "damage in the last batch is taken for an unfinished write, though it was acknowledged",
        (
            SCAN,
            "    if reason is None:\n        return Rot(place, str(damage), damage.records, None)\n",
            "    if reason is None:\n        reason = str(damage)\n",
        ),
    ),
    bug(
        "checksum-not-compared",
        "the checksum of a record is read and not compared",
        (
            RECORDS,
            '        if crc != stored_crc:\n            raise BatchDamaged(f"a record with checksum {crc:08x}, not {stored_crc:08x}", records)\n',
            "        crc = stored_crc\n",
        ),
    ),
    bug(
        "edges-not-compared",
        "a batch of which some sectors were not written is told by its checksums alone, and taken for rot",
        (DAMAGE, "    if header.place == place and _has_gap(data, offset, header.size):\n", "    if False:\n"),
    ),
)
