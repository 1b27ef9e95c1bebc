"""Zip archives, also those with members that are packed by Zstandard, which Python reads from 3.14 on."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from paretune.errors import DataError

__all__ = ["Archive"]

_ZSTANDARD = 93
#: Of a member's own header: its length, and where in it the lengths of the name and the extra field stand.
_HEADER, _LENGTHS = 30, slice(26, 30)


class Archive:
    """The members of a zip file by their names. Raises DataError where it is none, or a member cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {member.filename: member for member in archive.infolist()}
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{str(path)!r} cannot be read as a zip archive: {error}") from error

    @property
    def names(self) -> list[str]:
        """The names of the members, in their order."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """The bytes of a member."""
        member = self._members[name]
        try:
            if member.compress_type == _ZSTANDARD:
                return self._read_zstandard(member)
            with zipfile.ZipFile(self._path) as archive:
                return archive.read(member)
        except (OSError, EOFError, NotImplementedError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{name!r} in {str(self._path)!r} cannot be read: {error}") from error

    def _read_zstandard(self, member: zipfile.ZipInfo) -> bytes:
        import pyarrow

        with self._path.open("rb") as handle:
            handle.seek(member.header_offset)
            handle.seek(sum(struct.unpack("<HH", handle.read(_HEADER)[_LENGTHS])), 1)
            packed = handle.read(member.compress_size)
        found: bytes = pyarrow.decompress(packed, decompressed_size=member.file_size, codec="zstd", asbytes=True)
        if zlib.crc32(found) != member.CRC:
            raise ValueError("its checksum is another one")
        return found
