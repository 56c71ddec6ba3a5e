"""Archives: what they hold comes out once and whole; what cannot be trusted is refused before anything is written."""

from __future__ import annotations

import io
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seepseg.archives import members
from seepseg.archives.unpacked import cache_folder, data_root, folder_holding, unpack_members, unpacked
from seepseg.errors import DataError, ResourceError

FILES = {"competition_data/train/images/a.png": b"one", "competition_data/train.csv": b"id,rle_mask\na,1 2\n"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def zipped(path: Path, files: dict[str, bytes] | dict[zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return path


def inner(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return held.getvalue()


def tree(root: Path) -> dict[str, bytes]:
    return {str(f.relative_to(root)): f.read_bytes() for f in sorted(root.rglob("*")) if f.is_file()}


def refused(path: Path, cache: Path) -> str:
    """The error of an archive, once nothing was written."""
    with pytest.raises(DataError) as caught:
        unpacked(path)
    assert not cache.exists()
    return str(caught.value)


def test_what_it_holds_comes_out_once(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "competition_data.zip", FILES)
    folder = unpacked(path)
    assert folder.parent == cache
    assert folder.name.startswith("competition_data-")
    assert tree(folder) == FILES
    born = (folder / "competition_data" / "train.csv").stat().st_mtime_ns
    assert unpacked(path) == folder
    assert (folder / "competition_data" / "train.csv").stat().st_mtime_ns == born


def test_a_changed_archive_gets_a_folder_of_its_own(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", FILES)
    first, moved = unpacked(path), path.rename(tmp_path / "elsewhere.zip")
    assert tree(unpacked(moved)) == FILES
    changed = unpacked(zipped(path, FILES | {"competition_data/train.csv": b"id,rle_mask\na,1 3\n"}))
    assert changed != first
    assert tree(changed)["competition_data/train.csv"].endswith(b"1 3\n")
    assert tree(first) == FILES


def test_archives_inside_become_folders(tmp_path: Path, cache: Path) -> None:
    # Kaggle ships train.zip with images/ and masks/ in it; others pack the folder itself.
    deeper = inner({"x.txt": b"x"})
    path = zipped(
        tmp_path / "all.zip",
        {
            "train.zip": inner({"images/a.png": b"a", "masks/a.png": b"b", "deeper.zip": deeper}),
            "data/test.zip": inner({"test/images/c.png": b"c"}),
            "depths.csv": b"id,z\n",
            "__MACOSX/._depths.csv": b"junk",
        },
    )
    assert tree(unpacked(path)) == {
        "train/images/a.png": b"a",
        "train/masks/a.png": b"b",
        "train/deeper.zip": deeper,
        "data/test/images/c.png": b"c",
        "depths.csv": b"id,z\n",
    }


@pytest.mark.parametrize(
    "name",
    ["../out", "a/../../out", "/etc/out", "C:/out", "C:out", "..\\out", "\\out", "a\\..\\..\\out", "..", "./../out"],
)
@pytest.mark.parametrize("nested", [False, True])
def test_members_outside_are_refused(tmp_path: Path, cache: Path, name: str, nested: bool) -> None:
    files = {"good": b"1", name: b"2"}
    path = zipped(tmp_path / "a.zip", {"train.zip": inner(files)} if nested else files)
    where = path / "train.zip" if nested else path
    assert refused(path, cache) == (
        f"member {name!r} would land outside its folder in {where}: make the archive again, with relative names"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "says"),
    [(stat.S_IFLNK, "a symbolic link"), (stat.S_IFIFO, "no regular file"), (stat.S_IFCHR, "no regular")],
)
def test_members_that_are_no_files_are_refused(tmp_path: Path, cache: Path, kind: int, says: str) -> None:
    link = zipfile.ZipInfo("train/images")
    link.external_attr = (kind | 0o777) << 16
    assert f"member 'train/images' is {says}" in refused(zipped(tmp_path / "a.zip", {link: b"/etc"}), cache)


def test_bombs_are_refused(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "SMALL", 2**16)
    zeros = bytes(2**20)
    path = zipped(tmp_path / "flat.zip", {"zeros": zeros})
    # deflate packs zeros a thousandfold
    times = 2**20 // path.stat().st_size
    assert refused(path, cache) == (
        f"unpacks to {times} times its size, over 100 in {path}: "
        "unpack it yourself and give the folder, if you trust it"
    )
    assert times > 500
    assert "times its size" in refused(zipped(tmp_path / "nested.zip", {"a.zip": inner({"zeros": zeros})}), cache)
    monkeypatch.setattr(members, "BUDGET", 2**19)
    monkeypatch.setattr(members, "RATIO", 10**6)
    assert "over 0 GiB" in refused(path, cache)


def test_a_size_that_lies_gives_no_more_than_it_says(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"zeros": bytes(2**20)})
    content = path.read_bytes()
    assert content.count(struct.pack("<I", 2**20)) == 2  # in the header and in the directory
    path.write_bytes(content.replace(struct.pack("<I", 2**20), struct.pack("<I", 100)))
    with pytest.raises(DataError, match="member 'zeros' is damaged"):
        unpacked(path)
    assert tree(cache).keys() <= {f.name for f in cache.glob("*.lock")}


def test_too_many_members_are_refused(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MEMBERS", 5)
    path = zipped(tmp_path / "many.zip", {f"{i}": b"" for i in range(6)})
    assert "holds 6 members, more than 5 in" in refused(path, cache)
    path = zipped(tmp_path / "nested.zip", {"a.zip": inner({f"{i}": b"" for i in range(4)}), "0": b"", "1": b""})
    assert "holds 6 members, more than 5 in" in refused(path, cache)
    as_many = zipped(tmp_path / "some.zip", {f"{i}": b"" for i in range(5)})
    assert len(tree(unpacked(as_many))) == 5


def test_without_room_nothing_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = zipfile.ZipInfo("a")
    info.file_size = 3 * 2**30
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 2**29))
    with pytest.raises(ResourceError, match=r"3\.0 GiB to unpack, 1\.5 GiB free in .*: free some space, or set"):
        unpack_members([members.Member(None, info, ("a",))], tmp_path / "out", tmp_path / "a.zip")  # type: ignore[arg-type]
    assert not [*tmp_path.iterdir()]


def test_a_million_members_are_refused_in_no_time(tmp_path: Path, cache: Path) -> None:
    """Of no more than a directory that says so: its end record is what a reader believes."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * 10**6
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(directory), 0, 0)
    path = tmp_path / "million.zip"
    path.write_bytes(directory + end)
    begin = time.perf_counter()
    assert refused(path, cache).startswith(f"the list of its members is over 16 MiB in {path}: ")
    assert time.perf_counter() - begin < 1


def test_names_that_collide_are_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "a.zip", "w") as written:
        written.writestr("a", b"1")
        written.writestr("a", b"2")
    assert "two members are named 'a'" in refused(tmp_path / "a.zip", cache)
    assert "member 'a/b' lies below a file" in refused(zipped(tmp_path / "b.zip", {"a": b"", "a/b": b""}), cache)
    both = zipped(tmp_path / "c.zip", {"train/a": b"", "train.zip": inner({"a": b""})})
    assert "holds names that it holds itself" in refused(both, cache)


def test_encrypted_members_are_refused(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "member 'a' is encrypted" in refused(path, cache)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n", "the file is PNG"),
        (b"PK\x03\x04 and no more", "is cut short"),
    ],
)
def test_what_is_no_archive(tmp_path: Path, cache: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert says in refused(path, cache)


@settings(max_examples=40)
@given(place=st.floats(0, 1), bit=st.integers(0, 7))
@example(place=0.984375, bit=0)
def test_one_bit_wrong_gives_the_truth_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("bit")
    path = zipped(folder / "a.zip", {"a": b"content of a" * 9, "b": b"content of b"})
    content = bytearray(path.read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= 1 << bit
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEPSEG_CACHE", str(folder / "cache"))
        try:
            found = tree(unpacked(path))
        except DataError:
            assert not [p for p in (folder / "cache").glob("*") if p.is_dir()]
        else:  # a name may change unseen: nothing in a ZIP guards it
            assert set(found.values()) <= {b"content of a" * 9, b"content of b"}


def test_damage_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": os.urandom(1000), "b": os.urandom(1000)})
    content = bytearray(path.read_bytes())
    content[1500] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"member 'b' is damaged \(Bad CRC-32"):
        unpacked(path)
    assert not [p for p in cache.iterdir() if p.is_dir()]


def test_killed_half_way_it_is_done_again(tmp_path: Path, cache: Path) -> None:
    files = {f"{i:04d}": os.urandom(2000) for i in range(400)}
    path = zipped(tmp_path / "a.zip", files)
    # A copy that stops for good in the middle, so that the kill finds it there.
    script = (
        "import shutil, sys, time; from pathlib import Path; from seepseg.archives import unpacked\n"
        "copy, done = shutil.copyfileobj, []\n"
        "def slow(*a):\n"
        "    copy(*a); done.append(1)\n"
        "    if len(done) == 200: print('half', flush=True); time.sleep(60)\n"
        "shutil.copyfileobj = slow\n"
        "unpacked.unpacked(Path(sys.argv[1]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    left = [p for p in cache.iterdir() if p.is_dir()]
    assert [p.name.startswith(".seepseg-") for p in left] == [True]
    folder = unpacked(path)
    assert tree(folder) == files
    assert [p for p in cache.iterdir() if p.is_dir()] == [folder]


def test_the_folder_that_holds_the_data_is_found(tmp_path: Path) -> None:
    (tmp_path / "x" / "competition_data" / "train" / "images").mkdir(parents=True)
    assert folder_holding(tmp_path, "train/images") == tmp_path / "x" / "competition_data"
    (tmp_path / "train" / "images").mkdir(parents=True)
    assert folder_holding(tmp_path, "train/images") == tmp_path
    assert folder_holding(tmp_path, "nothing") == tmp_path


def test_the_root_of_data_is_a_folder_or_an_archive(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert data_root(tmp_path / "folder", "train") == tmp_path / "folder"
    found = data_root(zipped(tmp_path / "a.zip", FILES), "train")
    assert (found.parent.parent, found.name) == (cache, "competition_data")
    with pytest.raises(DataError, match="no such data folder .* set data.root=FOLDER"):
        data_root(tmp_path / "nowhere", "train")


def test_the_cache_is_where_the_platform_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEEPSEG_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for platform, place in (("linux", ".cache"), ("darwin", "Library/Caches"), ("win32", "AppData/Local")):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.delenv("LOCALAPPDATA", raising=False)
        assert cache_folder() == tmp_path / place / "seepseg"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/x")
    assert cache_folder() == Path("/var/x/seepseg")


def test_limits_hold_inside_an_archive_too(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one inside another, the list of members is no longer than of the outer one, and all are counted together."""
    monkeypatch.setattr(members, "MEMBERS", 50)
    many = inner({f"{i}": b"" for i in range(60)})
    assert "holds 60 members, more than 50 in" in refused(zipped(tmp_path / "a.zip", {"a.zip": many}), cache)
    some = {f"{k}.zip": inner({f"{i}": b"" for i in range(30)}) for k in "abc"}
    assert "holds 60 members, more than 50 in" in refused(zipped(tmp_path / "b.zip", some), cache)
    monkeypatch.setattr(members, "DIRECTORY", 2**10)
    assert "the list of its members is over 0 MiB" in refused(zipped(tmp_path / "c.zip", {"a.zip": many}), cache)


@pytest.mark.parametrize(
    ("own", "total", "says"),
    [
        (1, 2**26, None),
        (1, 2**26 + 1, "unpacks to 67108865 times its size, over 100"),
        (0, 2**26 + 1, "unpacks to 67108865 times its size, over 100"),
        (2**20, 100 * 2**20, None),
        (2**20, 100 * 2**20 + 1, "unpacks to 100 times its size, over 100"),
        (2**30, 2**35, None),
        (2**30, 2**35 + 2**34, "unpacks to 48.0 GiB, over 32 GiB"),
        (2**30, 2**35 + 1, "unpacks to 32.0 GiB, over 32 GiB"),
    ],
)
def test_how_much_an_archive_may_unpack_to(tmp_path: Path, own: int, total: int, says: str | None) -> None:
    path, info = tmp_path / "a.zip", zipfile.ZipInfo("a")
    path.touch()
    os.truncate(path, own)  # sparse: it takes no room
    info.file_size = total
    held = [members.Member(None, info, ("a",))]  # type: ignore[arg-type]
    if says is None:
        members.refuse_large(held, path)
        return
    with pytest.raises(DataError) as caught:
        members.refuse_large(held, path)
    assert caught.value.what == says


@pytest.mark.parametrize(
    "kinds", [(zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), (zipfile.ZIP_STORED, zipfile.ZIP_STORED)]
)
def test_an_archive_with_one_compressed_member_is_packed(kinds: tuple[int, int]) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as written:
        for name, kind in zip("ab", kinds, strict=True):
            written.writestr(name, b"x", kind)
    assert members.packed(stream) == (zipfile.ZIP_DEFLATED in kinds)
