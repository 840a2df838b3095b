"""files.py: whole or absent, the same bytes for the same content, and no pickle."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikejoule.core import files
from spikejoule.core.errors import ArtifactError, SpikejouleError

SCHEMA = "spikejoule/test/1"


def one_sentence(error: pytest.ExceptionInfo[SpikejouleError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "a.npz"
    files.write_npz(path, SCHEMA, {"x": np.arange(600, dtype=np.int64), "y": np.eye(3)})
    return path


class TestAtomic:
    def test_failed_write_leaves_the_old_file_and_nothing_else(self, tmp_path: Path) -> None:
        path = tmp_path / "a.bin"
        files.write_bytes(path, b"old")

        def fail_half_way() -> None:
            with files.atomic_writer(path) as stream:
                stream.write(b"half")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail_half_way()
        assert path.read_bytes() == b"old"
        assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]

    def test_killed_writer_leaves_no_file_under_the_name(self, tmp_path: Path) -> None:
        path = tmp_path / "a.bin"
        code = (
            "import sys, time; from spikejoule.core import files\n"
            "with files.atomic_writer(sys.argv[1]) as stream:\n"
            "    stream.write(b'half'); stream.flush(); print('ready', flush=True); time.sleep(60)"
        )
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        writer.kill()
        writer.wait()
        writer.stdout.close()
        assert not path.exists()

    def test_link_is_replaced_not_written_through(self, tmp_path: Path) -> None:
        cached = tmp_path / "cache"
        cached.write_bytes(b"cached")
        path = tmp_path / "a.bin"
        path.symlink_to(cached)
        files.write_bytes(path, b"new")
        assert cached.read_bytes() == b"cached"
        assert path.read_bytes() == b"new"
        assert not path.is_symlink()

    def test_parent_folders_are_created_and_modes_follow_the_umask(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b" / "c.bin"
        old = os.umask(0o027)
        try:
            files.write_bytes(path, b"")
        finally:
            os.umask(old)
        assert path.stat().st_mode & 0o777 == 0o640

    def test_unwritable_place_is_one_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(ArtifactError) as error:
            files.write_bytes(tmp_path / "file" / "a.bin", b"")
        assert "a.bin" in one_sentence(error)

    def test_directory_in_the_way_is_one_sentence_and_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "a.bin").mkdir()
        with pytest.raises(ArtifactError) as error:
            files.write_bytes(tmp_path / "a.bin", b"")
        assert "cannot be written" in one_sentence(error)
        assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


class TestJson:
    def test_layout(self, tmp_path: Path) -> None:
        content = {"b": np.float32(0.5), "a": {"d": 1e-05, "c": (np.int64(3), None, True)}, "ä": 1}
        files.write_json(tmp_path / "a.json", content)
        text = (tmp_path / "a.json").read_text(encoding="utf-8")
        assert text == (
            '{\n  "a": {\n    "c": [\n      3,\n      null,\n      true\n    ],\n    "d": 1e-05\n'
            '  },\n  "b": 0.5,\n  "ä": 1\n}\n'
        )
        assert files.read_json(tmp_path / "a.json")["a"]["d"] == 1e-05

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan")])
    def test_nan_and_infinity_are_refused(self, tmp_path: Path, value: float) -> None:
        with pytest.raises(ValueError, match="not JSON compliant"):
            files.write_json(tmp_path / "a.json", {"a": value})
        assert list(tmp_path.iterdir()) == []

    def test_other_objects_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="object"):
            files.write_json(tmp_path / "a.json", {"a": object()})

    @pytest.mark.parametrize("text", ["", "{", '{"a": NaN}', "[1]", "\xff", "[" * 100_000])
    def test_damaged_json_is_one_sentence(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(ArtifactError) as error:
            files.read_json(tmp_path / "a.json")
        assert "a.json" in one_sentence(error)

    def test_missing_json_is_one_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError) as error:
            files.read_json(tmp_path / "a.json")
        assert "does not exist" in one_sentence(error)


class TestCsv:
    def test_layout(self, tmp_path: Path) -> None:
        rows = [(1, 0.1, "x,y"), (np.int64(2), np.float32(0.5), None)]
        files.write_csv(tmp_path / "a.csv", ["n", "value", "text"], rows)
        assert (tmp_path / "a.csv").read_bytes() == b'n,value,text\n1,0.1,"x,y"\n2,0.5,\n'

    def test_short_row_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="1 cells under 2"):
            files.write_csv(tmp_path / "a.csv", ["a", "b"], [(1,)])
        assert list(tmp_path.iterdir()) == []

    def test_nan_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="nan"):
            files.write_csv(tmp_path / "a.csv", ["a"], [(np.float32("nan"),)])


class TestReadCsv:
    def test_what_was_written(self, tmp_path: Path) -> None:
        files.write_csv(tmp_path / "a.csv", ["n", "text"], [(1, "x,y"), (2, None)])
        rows = files.read_csv(tmp_path / "a.csv", ["n"])
        assert rows == [{"n": "1", "text": "x,y"}, {"n": "2", "text": ""}]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "lacks the column n"),
            (b"m\n1\n", "lacks the column n"),
            (b"n,m,n\n1,2,3\n", "a column twice"),
            (b"n,m\n1,2\n3\n", "row 3 has not the 2 cells"),
            (b'n\n"1\n', "not a valid CSV"),
            (b"n\n\xff\n", "not a valid CSV"),
        ],
    )
    def test_damaged_files(self, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "a.csv").write_bytes(content)
        with pytest.raises(ArtifactError, match=message):
            files.read_csv(tmp_path / "a.csv", ["n"])

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="does not exist"):
            files.read_csv(tmp_path / "a.csv", [])


ARRAYS = st.sampled_from([np.uint8, np.int64, np.float32, np.float64, np.bool_, "U5"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


class TestNpz:
    @given(st.dictionaries(st.sampled_from(["a", "b", "layer1.weight"]), ARRAYS))
    def test_round_trip(
        self, tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]
    ) -> None:
        path = tmp_path_factory.mktemp("npz") / "a.npz"
        files.write_npz(path, SCHEMA, arrays)
        read = files.read_npz(path, SCHEMA)
        assert read.keys() == arrays.keys()
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)

    def test_numpy_opens_it(self, npz: Path) -> None:
        with np.load(npz, allow_pickle=False) as opened:
            assert str(opened["schema"]) == SCHEMA
            assert opened["y"].shape == (3, 3)

    def test_bytes_depend_on_content_alone(self, tmp_path: Path) -> None:
        image = np.arange(12, dtype=np.uint8).reshape(3, 4)
        files.write_npz(tmp_path / "a.npz", SCHEMA, {"x": image, "y": np.zeros(2)})
        time.sleep(2.1)  # the zip format counts in steps of two seconds
        files.write_npz(
            tmp_path / "other.npz", SCHEMA, {"y": np.zeros(2), "x": np.asfortranarray(image)}
        )
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
        with zipfile.ZipFile(tmp_path / "a.npz") as archive:
            entries = archive.infolist()
        assert [entry.filename for entry in entries] == ["schema.npy", "x.npy", "y.npy"]
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}

    def test_every_truncation_is_one_sentence(self, npz: Path) -> None:
        whole = npz.read_bytes()
        for length in [*range(0, len(whole), 97), len(whole) - 1]:
            npz.write_bytes(whole[:length])
            with pytest.raises(ArtifactError) as error:
                files.read_npz(npz, SCHEMA)
            assert "a.npz" in one_sentence(error)

    def test_no_flipped_byte_of_an_array_goes_unseen(self, npz: Path) -> None:
        whole = npz.read_bytes()
        expected = files.read_npz(npz, SCHEMA)
        for position in range(0, len(whole), 53):
            damaged = bytearray(whole)
            damaged[position] ^= 0x55
            npz.write_bytes(bytes(damaged))
            try:
                read = files.read_npz(npz, SCHEMA)
            except ArtifactError:
                continue
            else:  # a byte of the container that carries nothing, such as a date
                for name, array in expected.items():
                    np.testing.assert_array_equal(read[name], array)

    def test_another_schema_is_refused(self, npz: Path) -> None:
        with pytest.raises(ArtifactError, match="spikejoule/test/2") as error:
            files.read_npz(npz, "spikejoule/test/2")
        assert SCHEMA in one_sentence(error)

    def test_file_without_schema_is_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", x=np.zeros(2))
        with pytest.raises(ArtifactError, match="no schema") as error:
            files.read_npz(tmp_path / "a.npz", SCHEMA)
        one_sentence(error)

    def test_missing_file_is_one_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="does not exist") as error:
            files.read_npz(tmp_path / "a.npz", SCHEMA)
        one_sentence(error)

    def test_directory_is_one_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError) as error:
            files.read_npz(tmp_path, SCHEMA)
        one_sentence(error)

    def test_interruption_between_two_arrays_stays_one(
        self, npz: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Just where zipfile knows of an array that nobody closes."""
        before, open_entry = npz.read_bytes(), zipfile.ZipFile.open
        left_open = []

        def interrupted(archive: zipfile.ZipFile, *arguments: Any, **keywords: Any) -> None:
            left_open.append(open_entry(archive, *arguments, **keywords))
            raise KeyboardInterrupt

        monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
        with pytest.raises(KeyboardInterrupt):
            files.write_npz(npz, SCHEMA, {"x": np.zeros(3)})
        assert npz.read_bytes() == before
        assert list(npz.parent.iterdir()) == [npz]

    def test_no_pickle_is_written(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="allow_pickle"):
            files.write_npz(tmp_path / "a.npz", SCHEMA, {"x": np.array([object()])})
        assert list(tmp_path.iterdir()) == []

    def test_no_pickle_is_executed(self, tmp_path: Path) -> None:
        class Malicious:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return (os.mkdir, (str(tmp_path / "executed"),))

        np.savez(tmp_path / "a.npz", schema=np.array(SCHEMA), x=np.array([Malicious()]))
        with pytest.raises(ArtifactError) as error:
            files.read_npz(tmp_path / "a.npz", SCHEMA)
        one_sentence(error)
        assert not (tmp_path / "executed").exists()

    def test_schema_is_no_array_name(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="taken"):
            files.write_npz(tmp_path / "a.npz", SCHEMA, {"schema": np.zeros(1)})
