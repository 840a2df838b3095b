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
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikejoule.core import npz, store, torch_files
from spikejoule.core.errors import ArtifactError
from spikejoule.core.yaml_files import read_yaml
from tests.tools.hostile import MARK, Pickled
from tests.tools.refusals import refusal

SCHEMA = "spikejoule/test/1"
READERS: list[Callable[[Any], Any]] = [
    store.read_json,
    lambda path: store.read_csv(path, []),
    lambda path: npz.read_npz(path, SCHEMA),
    torch_files.read,
    lambda path: read_yaml(path, ArtifactError),
]


class TestAtomic:
    def test_failed_write_leaves_the_old_file_and_nothing_else(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.bin"
        store.write_bytes(path, b"old")

        def fail_half_way() -> None:
            with store.atomic_writer(path) as stream:
                stream.write(b"half")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail_half_way()
        for write in (
            lambda: store.write_json(path, {"a": np.float64("nan")}),
            lambda: store.write_csv(path, ["a"], [(np.float32("nan"),)]),
            lambda: npz.write_npz(path, SCHEMA, {"x": np.array([object()])}),
        ):
            with pytest.raises(ValueError, match=r"JSON|nan|allow_pickle"):
                write()
        assert path.read_bytes() == b"old"
        assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]

    def test_link_is_replaced(self, tmp_path: Path) -> None:
        cached = tmp_path / "cache"
        cached.write_bytes(b"cached")
        path = tmp_path / "a.bin"
        path.symlink_to(cached)
        store.write_bytes(path, b"new")
        assert cached.read_bytes() == b"cached"
        assert path.read_bytes() == b"new"
        assert not path.is_symlink()

    def test_what_cannot_be_written_stays_as_it_is(self, tmp_path: Path) -> None:
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

    def test_what_unpacks_beyond_the_bound(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(npz, "MAX_BYTES", 1_000_000)
        for packing in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            with zipfile.ZipFile(tmp_path / "bomb", "w", packing) as archive:
                archive.writestr("x.npy", bytes(5_000_000))
            with pytest.raises(ArtifactError, match="unpacks to more than 1,000,000"):
                npz.read_npz(tmp_path / "bomb", SCHEMA)


class TestText:
    def test_layout_of_json(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        store.write_json(
            path, {"b": np.float32(0.5), "a": {"d": 1e-05, "c": np.int64(3)}, "ä": 1}
        )
        text = (
            '{\n  "a": {\n    "c": 3,\n    "d": 1e-05\n  },\n  "b": 0.5,\n  "ä": 1\n}\n'
        )
        assert path.read_text(encoding="utf-8") == text
        assert store.read_json(path)["a"]["d"] == 1e-05

    def test_layout_of_csv(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        store.write_csv(
            path, ["n", "value", "text"], [(1, 0.1, "x,y"), (np.int64(2), 0.5, None)]
        )
        assert path.read_bytes() == b'n,value,text\n1,0.1,"x,y"\n2,0.5,\n'
        assert store.read_csv(path, ["n"])[1] == {"n": "2", "value": "0.5", "text": ""}

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.json", ""),
            ("a.json", "[1]"),
            ("a.json", "\xff"),
            ("a.csv", "m\n1\n"),
            ("a.csv", "n,m\n1,2\n3\n"),
            ("a.csv", 'n\n"1\n'),
        ],
    )
    def test_damaged_text_is_refused_in_one_sentence(
        self, tmp_path: Path, name: str, text: str
    ) -> None:
        (tmp_path / name).write_bytes(text.encode("latin-1"))
        read = (
            store.read_json
            if name == "a.json"
            else lambda path: store.read_csv(path, ["n"])
        )
        refusal(read, tmp_path / name)


ARRAYS = st.sampled_from(
    [np.uint8, np.int64, np.float32, np.float64, np.bool_, "U5"]
).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)
    )
)


class TestNpz:
    @given(st.dictionaries(st.sampled_from(["a", "b", "layer1.weight"]), ARRAYS))
    def test_round_trip(
        self, tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]
    ) -> None:
        path = tmp_path_factory.mktemp("npz") / "a.npz"
        npz.write_npz(path, SCHEMA, arrays)
        read = npz.read_npz(path, SCHEMA)
        assert read.keys() == arrays.keys()
        with np.load(path, allow_pickle=False) as opened:
            assert str(opened["schema"]) == SCHEMA
            for name, array in arrays.items():
                assert read[name].dtype == array.dtype
                np.testing.assert_array_equal(read[name], array)
                np.testing.assert_array_equal(opened[name], array)

    def test_bytes_depend_on_content_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = np.arange(12, dtype=np.uint8).reshape(3, 4)
        npz.write_npz(tmp_path / "a.npz", SCHEMA, {"x": image, "y": np.zeros(2)})
        monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(10**9))
        other = {"y": np.zeros(2), "x": np.asfortranarray(image)}
        npz.write_npz(tmp_path / "other.npz", SCHEMA, other)
        whole = (tmp_path / "a.npz").read_bytes()
        assert whole == (tmp_path / "other.npz").read_bytes()

    @given(st.data())
    def test_every_damage_is_noticed(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        path = tmp_path_factory.mktemp("damaged") / "a.npz"
        arrays = {"x": np.arange(600), "y": np.eye(3)}
        npz.write_npz(path, SCHEMA, arrays)
        whole = path.read_bytes()
        place = data.draw(st.integers(0, len(whole) - 1))
        changed = bytes([whole[place] ^ 0x55])
        after = data.draw(st.sampled_from([b"", changed + whole[place + 1 :]]))
        path.write_bytes(whole[:place] + after)
        try:
            read = npz.read_npz(path, SCHEMA)
        except ArtifactError:
            return
        # Then the byte carries no information, such as a date.
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)

    def test_schemas_and_pickles(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def read(path: Path) -> Any:
            return npz.read_npz(path, SCHEMA)

        monkeypatch.chdir(tmp_path)
        path = tmp_path / "a.npz"
        npz.write_npz(path, "spikejoule/test/2", {})
        assert SCHEMA in refusal(read, path)
        np.savez(path, x=np.zeros(2))
        assert "no schema" in refusal(read, path)
        np.savez(path, schema=np.array(SCHEMA), x=np.array([Pickled()]))
        assert "damaged" in refusal(read, path)
        assert not (tmp_path / MARK).exists()


class TestTorch:
    def test_equal_content_gives_equal_bytes(self) -> None:
        text = "text"
        equal = "".join(["te", "xt"])
        numpy = {"a": [text, equal], "b": (np.float32(0.5), np.arange(3))}
        plain = {"a": [equal, text], "b": (0.5, torch.arange(3))}
        assert torch_files.encode(numpy) == torch_files.encode(plain)
        with pytest.raises(TypeError, match="not a plain value"):
            torch_files.encode({"a": object()})

    @pytest.mark.parametrize(
        "value", [np.array(["a"], dtype=object), Path("a"), Pickled()]
    )
    def test_nothing_in_a_file_is_executed(
        self, tmp_path: Path, value: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        torch.save({"a": [value]}, tmp_path / "a.pt")
        assert "opened safely" in refusal(torch_files.read, tmp_path / "a.pt")
        assert not (tmp_path / MARK).exists()
