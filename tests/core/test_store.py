"""Files: whole or absent, deterministic, checked when read, and never executed."""

import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikejoule.core import npz, store, torch_files
from spikejoule.core.errors import ArtifactError
from spikejoule.core.yaml_files import read_yaml
from tests.tools.hostile import MARK, Pickled
from tests.tools.refusals import refusal

SCHEMA = "spikejoule/test/1"


def read_npz(path: Path) -> Any:
    return npz.read_npz(path, SCHEMA)


def read_csv(path: Path) -> Any:
    return store.read_csv(path, ["n"])


def read_yaml_file(path: Path) -> Any:
    return read_yaml(path, ArtifactError)


READERS = [store.read_json, read_csv, read_npz, torch_files.read, read_yaml_file]


class TestAtomic:
    def test_a_failed_write_leaves_the_old_file_only(self, tmp_path: Path) -> None:
        path = tmp_path / "a.bin"
        store.write_bytes(path, b"old")

        def fail_half_way() -> None:
            with store.atomic_writer(path) as stream:
                stream.write(b"half")
                raise ValueError("nan")

        for write in (
            fail_half_way,
            lambda: store.write_json(path, {"a": np.float64("nan")}),
            lambda: store.write_csv(path, ["a"], [(np.float32("nan"),)]),
            lambda: npz.write_npz(path, SCHEMA, {"x": np.array([object()])}),
        ):
            with pytest.raises(ValueError, match=r"JSON|nan|allow_pickle"):
                write()
        assert path.read_bytes() == b"old"
        assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]

    def test_a_link_is_replaced(self, tmp_path: Path) -> None:
        cached = tmp_path / "cache"
        cached.write_bytes(b"cached")
        path = tmp_path / "a.bin"
        path.symlink_to(cached)
        store.write_bytes(path, b"new")
        assert cached.read_bytes() == b"cached"
        assert path.read_bytes() == b"new"

    def test_folders_and_pipes_are_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "folder").mkdir()
        os.mkfifo(tmp_path / "pipe")
        for place in ("file/a.bin", "folder", "pipe"):
            with pytest.raises(ArtifactError, match=f"{place} cannot be written"):
                store.write_bytes(tmp_path / place, b"")
        with pytest.raises(ArtifactError, match="not the path of a file"):
            store.write_bytes("", b"")
        assert {file.name for file in tmp_path.iterdir()} == {"file", "folder", "pipe"}
        assert (tmp_path / "pipe").is_fifo()


class TestOpening:
    @pytest.mark.parametrize("read", READERS)
    def test_only_regular_files_of_a_bounded_size(
        self, tmp_path: Path, read: Callable[[Any], Any]
    ) -> None:
        os.mkfifo(tmp_path / "pipe")
        for place in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
            assert "regular file" in refusal(read, place)
        assert "\\u001b[2J" in refusal(read, tmp_path / "\x1b[2J")
        with (tmp_path / "huge").open("wb") as stream:
            stream.truncate(store.MAX_BYTES + 1)
        assert "bytes, but may have" in refusal(read, tmp_path / "huge")

    def test_an_archive_that_unpacks_beyond_the_bound(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(npz, "MAX_BYTES", 1_000_000)
        with zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", bytes(5_000_000))
        assert "1,000,000 are allowed" in refusal(read_npz, tmp_path / "a")

    @pytest.mark.parametrize("entry", ["x.npy", "schema.npy"])
    def test_a_small_archive_that_unpacks_to_much_is_not_unpacked(
        self, entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        npz.write_npz(tmp_path / "a", SCHEMA if entry == "x.npy" else "", {})
        with (
            zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(entry, "w") as member,
        ):
            size = 100 << 20 if entry == "x.npy" else 1 << 20
            for _ in range(size >> 20):
                member.write(bytes(1 << 20))
        monkeypatch.setattr(zipfile.ZipFile, "open", None)
        assert "are allowed" in refusal(read_npz, tmp_path / "a")

    def test_another_format_is_not_called_damaged(self, tmp_path: Path) -> None:
        (tmp_path / "params.yaml").write_text("seed: 42\n", encoding="utf-8")
        for read in (read_npz, torch_files.read):
            message = refusal(read, tmp_path / "params.yaml")
            assert "neither a checkpoint nor an .npz file" in message
            assert "write it again" not in message

    def test_a_tensor_that_repeats_its_values_is_refused(self, tmp_path: Path) -> None:
        """A file of some bytes may declare any number of values with strides of 0."""
        repeated = torch.zeros(1).expand(10**12)
        torch.save({"a": [{"b": repeated}]}, tmp_path / "a")
        message = refusal(torch_files.read, tmp_path / "a")
        assert "1,000,000,000,000 values" in message

    def test_other_contents_of_a_checkpoint_are_refused_in_one_sentence(
        self, tmp_path: Path
    ) -> None:
        endless: list[Any] = []
        endless.append(endless)
        for value in (torch.eye(3).to_sparse(), endless):
            torch.save({"a": value}, tmp_path / "a")
            refusal(torch_files.read, tmp_path / "a")

    def test_an_array_that_is_declared_beyond_memory(self, tmp_path: Path) -> None:
        """A header of a few bytes may declare any shape."""
        npz.write_npz(tmp_path / "a", SCHEMA, {})
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**14,)}
        with (
            zipfile.ZipFile(tmp_path / "a", "a") as archive,
            archive.open("x.npy", "w") as member,
        ):
            np.lib.format.write_array_header_1_0(member, header)
        assert "does not fit into memory" in refusal(read_npz, tmp_path / "a")


class TestText:
    def test_layouts(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        store.write_json(path, {"b": np.float32(0.5), "a": {"c": 1e-05}, "ä": 1})
        text = '{\n  "a": {\n    "c": 1e-05\n  },\n  "b": 0.5,\n  "ä": 1\n}\n'
        assert path.read_text(encoding="utf-8") == text
        assert store.read_json(path)["a"]["c"] == 1e-05
        rows = [(1, 0.1, "x,y"), (np.int64(2), 0.5, None)]
        store.write_csv(path, ["n", "value", "text"], rows)
        assert path.read_bytes() == b'n,value,text\n1,0.1,"x,y"\n2,0.5,\n'
        assert read_csv(path)[1] == {"n": "2", "value": "0.5", "text": ""}

    def test_a_row_of_another_length_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("n,m\n1,2\n3\n", encoding="utf-8")
        assert "row 3 has 1 cells, the header 2" in refusal(read_csv, tmp_path / "a")


ARRAYS = {
    "b": np.array(["text", "ü"]),
    "a": np.arange(600).reshape(3, 2, 100),
    "layer1.weight": np.eye(3, dtype=np.float32),
    "number": np.array(-3),
    "empty": np.empty((2, 0), np.bool_),
}


class TestNpz:
    def test_round_trip(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        npz.write_npz(path, SCHEMA, ARRAYS)
        with np.load(path, allow_pickle=False) as by_numpy:
            assert str(by_numpy["schema"]) == SCHEMA
            for arrays in (read_npz(path), by_numpy):
                for name, array in ARRAYS.items():
                    np.testing.assert_array_equal(arrays[name], array, strict=True)

    def test_bytes_depend_on_content_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        npz.write_npz(tmp_path / "a.npz", SCHEMA, ARRAYS)
        monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(10**9))
        others = {name: array.copy("F") for name, array in reversed(ARRAYS.items())}
        npz.write_npz(tmp_path / "b.npz", SCHEMA, others)
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()

    def test_every_damage_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        npz.write_npz(path, SCHEMA, ARRAYS)
        whole = path.read_bytes()
        for place in range(0, len(whole), 61):
            path.write_bytes(whole[:place])
            refusal(read_npz, path)
            changed = bytes([whole[place] ^ 0x55])
            path.write_bytes(whole[:place] + changed + whole[place + 1 :])
            try:
                arrays = read_npz(path)
            except ArtifactError:
                continue
            # Then the byte carries no information, such as a date.
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(arrays[name], array)

    def test_schemas_and_pickles(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "a.npz"
        npz.write_npz(path, "spikejoule/test/2", {})
        assert SCHEMA in refusal(read_npz, path)
        # Another tool's members may not be readable; the sentence names the schema.
        np.savez(path, x=np.array([{}]))
        assert f"{SCHEMA!r}, but is one of 'no schema'" in refusal(read_npz, path)
        np.savez(path, schema=np.array(SCHEMA), x=np.array([Pickled()]))
        assert "damaged" in refusal(read_npz, path)
        assert not (tmp_path / MARK).exists()


class TestTorch:
    def test_equal_content_gives_equal_bytes(self) -> None:
        text = "text"
        equal = "".join(["te", "xt"])
        numpy = {"a": [text, equal], "b": (np.float32(0.5), np.arange(3))}
        plain = {"a": [equal, text], "b": (0.5, torch.arange(3))}
        assert torch_files.encode(numpy) == torch_files.encode(plain)
