"""A file of results outlives its writer, is taken for no other, and no other for it."""

import json

import numpy as np
import pytest

from forescale.errors import FileError
from forescale.work.results import open_results


def written(path, **rows):
    with open_results(path) as results:
        for key, row in rows.items():
            results.add(key, json.dumps(row))
    return path


def read(path):
    with open_results(path) as results:
        return results.rows


def test_every_number_survives(tmp_path):
    numbers = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, float("nan"), float("inf"), -float("inf"), 2**60, True]
    path = written(tmp_path / "r", a=[{"x": x} for x in numbers], b={"text": 'Ü "\n\u2028'})
    assert len(path.read_bytes().split(b"\n")) == 4
    found = read(path)
    assert repr([row["x"] for row in found["a"]]) == repr(numbers)
    assert found["b"] == {"text": 'Ü "\n\u2028'}


def test_a_torn_line_is_dropped_wherever_it_is_torn(tmp_path):
    whole = written(tmp_path / "whole", a=[1], b=[2.5], c=[3]).read_bytes()
    ends = np.cumsum([len(line) for line in whole.splitlines(keepends=True)])
    for cut in range(len(whole) + 1):
        path = tmp_path / "torn"
        path.write_bytes(whole[:cut])
        left = max(0, int(np.sum(ends <= cut)) - 1)
        assert list(read(path)) == ["a", "b", "c"][:left]
        written(path, d=[4])
        assert list(read(path)) == [*["a", "b", "c"][:left], "d"]


def test_the_first_of_two_lines_of_one_key_stands(tmp_path):
    assert read(written(written(tmp_path / "r", a=[1]), a=[2])) == {"a": [1]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"loss,flops\n2.1,1e20\n", "something else"),
        (b"no end of line", "something else"),
        (b"\x89HDF\r\n\x1a\n\x00", "something else"),
        (b"[1, 2]\n", "something else"),
        (b'{"format": "forescale results", "version": 9}\n{"k": 1}\n', "of version 9"),
        (b'{"format": "forescale results", "version": 1}\nrubbish\n{"key": "b", "rows": []}\n', "line 2 is no result"),
        (b'{"format": "forescale results", "version": 1}\n{"rows": []}\n', "line 2 is no result"),
    ],
)
def test_what_is_something_else_is_refused_and_left_as_it_is(tmp_path, content, words):
    path = tmp_path / "r"
    path.write_bytes(content)
    with pytest.raises(FileError, match=words):
        read(path)
    assert path.read_bytes() == content


def test_where_no_file_can_be(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "folder"):
        with pytest.raises(FileError, match="results cannot be kept there"):
            read(path)
    with pytest.raises(FileError, match="something else"):
        read("/dev/null")


def test_a_full_disk_is_an_error():
    with pytest.raises(FileError):
        read("/dev/full")
