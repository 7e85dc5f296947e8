"""The lines of a file: any size, any encoding, nothing held that need not be."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision_toolkit.core import Invalid, NotFound
from vision_toolkit.data.jsonlines import LONGEST
from vision_toolkit.data.lines import CHUNK, LineFile, LongLine

LINE = b'{"source-ref": "1.png"}'


def lines_of(path) -> tuple[list[bytes], list[str]]:
    with LineFile(path) as file:
        lines = list(file)
        assert list(file) == lines  # a second time
        return lines, [finding.rule for finding in file.findings]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary(max_size=200))
def test_joined_again_the_lines_are_the_file(tmp_path, data):
    path = tmp_path / "x"
    path.write_bytes(b"# " + data)
    with LineFile(path) as file:
        lines = list(file)
        assert b"\n".join(lines) + b"\n" * file.final_newline == b"# " + data
        ended = lines if file.final_newline else lines[:-1]
        assert file.returns == sum(line.endswith(b"\r") for line in ended)


@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_lines_across_the_pieces_that_are_read(tmp_path, length, end):
    long = b"x" * length
    path = tmp_path / "x"
    path.write_bytes(LINE + b"\n" + long + b"\r\n" + LINE + end)
    lines, rules = lines_of(path)
    assert lines == [LINE, long + b"\r", LINE + end[:-1]]
    assert ("no-final-newline" in rules) == (end == b"") and "crlf" in rules


def test_a_line_of_a_gigabyte_is_never_held_and_can_be_copied(tmp_path):
    path = tmp_path / "x"
    huge = 300 * 2**20
    with path.open("wb") as file:
        file.write(LINE + b"\n")
        file.seek(huge, 1)  # a hole on the disk, zeros to a reader
        file.write(b"\n" + LINE + b"\n")
    tracemalloc.start()
    with LineFile(path) as lines:
        first, long, last = list(lines)
        assert first == last == LINE and isinstance(long, LongLine)
        assert long.length == huge and LONGEST < len(long) < LONGEST + 2 * CHUNK
        with (tmp_path / "copy").open("wb") as target:
            lines.copy(long, target)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "copy").stat().st_size == huge and peak < 5 * LONGEST


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_wide_characters_are_read_and_told(tmp_path, encoding):
    path = tmp_path / "x"
    path.write_bytes('{"source-ref": "ü.png"}\n[]\n'.encode(encoding))
    assert lines_of(path) == (['{"source-ref": "ü.png"}'.encode(), b"[]"], ["utf-16"])


def test_a_mark_and_compression_are_told_and_looked_through(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + LINE + b"\n"))
    assert lines_of(path) == ([LINE], ["gzip", "byte-order-mark"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "a PNG image"),
        (b"PK\x03\x04....", "zip archive; unpack it first"),
        (gzip.compress(b"PK\x03\x04....", mtime=0), "zip archive"),
        (gzip.compress(LINE * 100, mtime=0)[:-20], "compressed with gzip, but damaged"),
        ('{"a": 1}'.encode("utf-16") + b"\0", "does not go on so"),
    ],
)
def test_what_has_no_lines_is_refused_in_words(tmp_path, data, said):
    path = tmp_path / "odd.manifest"
    path.write_bytes(data)
    with pytest.raises(Invalid, match=said) as error, LineFile(path) as file:
        list(file)
    assert str(path) in str(error.value)


def test_nothing_and_a_folder(tmp_path):
    with pytest.raises(NotFound), LineFile(tmp_path / "none"):
        pass
    with pytest.raises(Invalid, match="not a file"), LineFile(tmp_path):
        pass
    (tmp_path / "empty").write_bytes(b"")
    assert lines_of(tmp_path / "empty") == ([], [])


def test_a_memory_filesystem_stands_for_any_other():
    import fsspec

    fsspec.filesystem("memory").pipe("/lines/x.manifest", LINE + b"\n")
    assert lines_of("memory://lines/x.manifest") == ([LINE], [])
