"""Data sources: what they read, how they bind to a net, and how each damage is reported."""

import gzip
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from netc.compiler.program import PortSpec
from netc.runtime.data.sources import open_data
from netc.runtime.data.table import TableUse
from netc.runtime.errors import DataError

F32 = np.dtype(np.float32)
DIGIT = PortSpec("digit", (), "class", 10)


def net(*inputs, targets=(DIGIT,)):
    return SimpleNamespace(inputs=inputs or (PortSpec("image", (64,)),), targets=tuple(targets))


def refused(text, manifest, *words, use=None, part="train"):
    def attempt():
        getattr(open_data(str(text), manifest, F32, use), part)()

    with pytest.raises(DataError) as caught:
        attempt()
    for word in words:
        assert word in str(caught.value), str(caught.value)


# -- digits ----------------------------------------------------------------------------------------


def test_digits_have_their_official_split():
    data = open_data("digits", net(PortSpec("image", (1, 8, 8))), F32)
    train, test = data.train(), data.test()
    assert train["image"].shape == (1500, 1, 8, 8)
    assert test["image"].shape == (297, 1, 8, 8)
    assert train["image"].dtype == F32
    assert (train["image"].min(), train["image"].max()) == (0, 1)
    assert train["digit"][:10].tolist() == list(range(10))
    assert data.scored()["digit"].shape == (297,)
    # the first picture, as anyone can look it up
    np.testing.assert_array_equal(train["image"][0, 0, 0] * 16, [0, 0, 5, 13, 9, 1, 0, 0])


def test_images_bind_by_their_number_of_elements():
    assert open_data("digits", net(), F32).train()["image"].shape == (1500, 64)
    refused("digits", net(PortSpec("image", (1, 28, 28))), "[1, 28, 28]", "784", "[8, 8]", "64")


def test_a_net_without_target_needs_no_labels():
    assert set(open_data("digits", net(targets=()), F32).train()) == {"image"}


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (net(PortSpec("a", (64,)), PortSpec("b", (64,))), ["2 inputs", "`a`, `b`", ".npz"]),
        (net(targets=(DIGIT, DIGIT)), ["2 targets"]),
        (net(targets=(PortSpec("t", (10,)),)), ["`t`", "[10]", "class[10]"]),
    ],
)
def test_digits_do_not_fit_every_net(manifest, words):
    refused("digits", manifest, *words)


# -- npz -------------------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, image=np.ones((3, 64)), digit=np.arange(3), other=np.ones(1))
    return path


def test_archives_bind_by_name_and_are_not_scaled(archive):
    data = open_data(str(archive), net(), F32)
    assert set(data.train()) == {"image", "digit"}
    assert data.train()["image"].max() == 1
    assert data.test is None


def test_archives_without_targets_will_do_for_predicting(tmp_path):
    np.savez(tmp_path / "x.npz", image=np.ones((3, 64)))
    assert set(open_data(str(tmp_path / "x.npz"), net(), F32).train()) == {"image"}


def test_archives_that_lack_an_input(archive):
    refused(archive, net(PortSpec("imag", (64,))), "no array `imag`", "did you mean `image`")


@pytest.mark.parametrize("cut", [0, 10, 200, -40])
def test_damaged_archives(archive, cut):
    content = archive.read_bytes()
    archive.write_bytes(content[:cut])
    refused(archive, net(), "data.npz")


def test_archives_with_flipped_bytes(archive):
    content = bytearray(archive.read_bytes())
    content[200:260] = b"\xff" * 60
    archive.write_bytes(bytes(content))
    refused(archive, net(), "data.npz")


def test_archives_of_objects(tmp_path):
    np.savez(tmp_path / "x.npz", image=np.array([None], object), allow_pickle=True)
    refused(tmp_path / "x.npz", net(), "`image` cannot be read")


def test_an_npy_file_in_disguise(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.ones(3))
    refused(tmp_path / "x.npz", net(), "one array")


# -- IDX and CIFAR ---------------------------------------------------------------------------------


def idx(array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path):
    draws = np.random.default_rng(0)
    for part, n in (("train", 5), ("t10k", 2)):
        images = draws.integers(0, 256, (n, 8, 8))
        images[0, 0, 0] = 255
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        packed = gzip.compress(idx(np.arange(n)))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(packed)
    return tmp_path


def test_mnist_folders_plain_and_gzip(mnist):
    data = open_data(str(mnist), net(), F32)
    assert data.train()["image"].shape == (5, 64)
    assert data.train()["image"][0, 0] == 1
    assert data.test()["digit"].tolist() == [0, 1]


def test_mnist_without_a_test_part(mnist):
    (mnist / "t10k-images-idx3-ubyte").unlink()
    assert open_data(str(mnist), net(), F32).test is None


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("train-images-idx3-ubyte", lambda b: b[:-1], ["cut short", "[5, 8, 8]", "336", "335"]),
        ("train-images-idx3-ubyte", lambda b: b + b"x", ["too long"]),
        ("train-images-idx3-ubyte", lambda b: b[:7], ["cut short"]),
        ("train-images-idx3-ubyte", lambda b: b"", ["not an IDX file"]),
        ("train-images-idx3-ubyte", lambda b: b"PNG" + b, ["not an IDX file"]),
        ("train-images-idx3-ubyte", lambda b: b[:2] + b"\x0d" + b[3:], ["cut short"]),
        ("train-labels-idx1-ubyte.gz", lambda b: b[:-9], ["damaged or cut short"]),
        ("train-labels-idx1-ubyte.gz", lambda b: b"junk", ["damaged or cut short"]),
        (
            "train-labels-idx1-ubyte.gz",
            lambda b: gzip.compress(idx(np.arange(4))),
            ["5 images", "4 labels"],
        ),
    ],
)
def test_damaged_mnist(mnist, name, change, words):
    (mnist / name).write_bytes(change((mnist / name).read_bytes()))
    refused(mnist, net(), str(mnist), *words)


def test_mnist_without_labels(mnist):
    (mnist / "train-labels-idx1-ubyte.gz").unlink()
    refused(mnist, net(), "train-labels")


@pytest.fixture
def cifar(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (4, 3073)).astype(np.uint8)
    rows[:, 0] = range(4)
    (tmp_path / "data_batch_1.bin").write_bytes(rows[:2].tobytes())
    (tmp_path / "data_batch_2.bin.gz").write_bytes(gzip.compress(rows[2:3].tobytes()))
    (tmp_path / "test_batch.bin").write_bytes(rows[3:].tobytes())
    return tmp_path, rows


def test_cifar_folders(cifar):
    path, rows = cifar
    data = open_data(str(path), net(PortSpec("image", (3, 32, 32))), F32)
    train = data.train()
    assert train["digit"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(train["image"].reshape(3, -1) * 255, rows[:3, 1:], rtol=1e-6)
    assert data.test()["digit"].tolist() == [3]


def test_cut_cifar(cifar):
    path, _ = cifar
    (path / "data_batch_1.bin").write_bytes(b"x" * 5000)
    refused(path, net(PortSpec("image", (3, 32, 32))), "data_batch_1.bin", "5,000", "3,073")


@pytest.fixture
def cifar_100(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (5, 3074)).astype(np.uint8)
    rows[:, 0], rows[:, 1] = range(5), range(90, 95)
    (tmp_path / "train.bin.gz").write_bytes(gzip.compress(rows[:3].tobytes()))
    (tmp_path / "test.bin").write_bytes(rows[3:].tobytes())
    return tmp_path, rows


def test_cifar_100_has_two_levels_of_labels(cifar_100):
    path, rows = cifar_100
    image = PortSpec("image", (3, 32, 32))
    fine, coarse = PortSpec("fine", (), "class", 100), PortSpec("coarse", (), "class", 20)
    data = open_data(str(path), net(image, targets=(fine, coarse)), F32)
    train = data.train()
    assert train["fine"].tolist() == [90, 91, 92]
    assert train["coarse"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(train["image"].reshape(3, -1) * 255, rows[:3, 2:], rtol=1e-6)
    assert data.test()["fine"].tolist() == [93, 94]
    assert set(open_data(str(path), net(image, targets=()), F32).train()) == {"image"}
    only = open_data(str(path), net(image, targets=(coarse,)), F32).test()
    assert only["coarse"].tolist() == [3, 4]


def test_cifar_100_needs_targets_of_its_levels(cifar_100):
    path, _ = cifar_100
    image = PortSpec("image", (3, 32, 32))
    refused(path, net(image), "`class[20]` and `class[100]`", "`digit`")
    (path / "train.bin.gz").write_bytes(gzip.compress(b"x" * 4000))
    refused(path, net(image, targets=()), "train.bin", "4,000", "3,074")


# -- csv -------------------------------------------------------------------------------------------

IRIS = PortSpec("species", (), "class", 3)
FLOWER = PortSpec("measures", (2,))


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    return path


def flower_net(**changes):
    return net(PortSpec("measures", (2,), **changes), targets=(IRIS,))


def test_tables_with_text_labels(tmp_path):
    path = table(tmp_path, "width,kind,length\n1,setosa,2\n3,iris,4\n\n5,setosa,6\n")
    data = open_data(str(path), flower_net(), F32, TableUse("kind"))
    np.testing.assert_array_equal(data.train()["measures"], [[1, 2], [3, 4], [5, 6]])
    assert data.train()["species"].tolist() == [1, 0, 1]
    assert data.table == {"target": "kind", "labels": ["iris", "setosa"]}
    assert TableUse.from_json(data.table) == TableUse("kind", ("iris", "setosa"))


def test_labels_of_the_run_are_kept(tmp_path):
    path = table(tmp_path, "a,b,kind\n1,2,setosa\n")
    use = TableUse("kind", ("iris", "setosa"))
    assert open_data(str(path), flower_net(), F32, use).train()["species"].tolist() == [1]
    refused(path, flower_net(), "line 2", "`setosa` is unknown", use=TableUse("kind", ("iris",)))


def test_the_target_may_be_named_by_its_column(tmp_path):
    path = table(tmp_path, "\ufeffa, species ,b\r\n1, 2 ,3\r\n")
    arrays = open_data(str(path), flower_net(), F32).train()
    assert arrays["species"].tolist() == [2]
    assert arrays["measures"].tolist() == [[1, 3]]


def test_tables_without_a_target_column(tmp_path):
    assert set(open_data(str(table(tmp_path, "a,b\n1,2\n")), flower_net(), F32).train()) == {
        "measures"
    }


def test_real_targets(tmp_path):
    manifest = net(FLOWER, targets=(PortSpec("t", (1,)),))
    path = table(tmp_path, "a,b,t\n1,2,0.5\n")
    assert open_data(str(path), manifest, F32).train()["t"].tolist() == [[0.5]]
    path = table(tmp_path, "a,b,t\n1,2,high\n")
    refused(path, manifest, "line 2", "`high` is not a number", "class[1]")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty", "name the columns"]),
        ("a,b,species\n", ["no samples"]),
        ("a,a,species\n1,2,0\n", ["two columns named `a`"]),
        ("a,b,species\n1,2\n", ["line 2", "expected 3 columns", "found 2"]),
        ("a,b,species\n1,x,0\n", ["line 2", "column `b`", "`x` is not a number"]),
        ("a,b,species\n1,2,0\n1,,0\n", ["line 3", "column `b`", "missing"]),
        ("a,b,c,species\n1,2,3,0\n", ["[2]", "[3]"]),
        ("a,b,species\n1,2,u\n1,2,v\n1,2,w\n1,2,x\n", ["4 labels", "class[3]"]),
        ("a,b,species\n1,2,u\n1,2,\n", ["line 3", "label is missing"]),
    ],
)
def test_bad_tables(tmp_path, text, words):
    refused(table(tmp_path, text), flower_net(), "t.csv", *words)


def test_unknown_target_columns(tmp_path):
    refused(
        table(tmp_path, "a,b,kind\n1,2,0\n"),
        flower_net(),
        "no column `kin`",
        "did you mean `kind`",
        use=TableUse("kin"),
    )
    refused(table(tmp_path, "a;b;kind\n1;2;0\n"), flower_net(), "commas", use=TableUse("kind"))


def test_tables_that_are_no_text(tmp_path):
    refused(table(tmp_path, "ä,b,species\n1,2,0\n", "latin-1"), flower_net(), "UTF-8")


def test_missing_cells_of_a_missing_input(tmp_path):
    path = table(tmp_path, "a,b,species\n1,,0\n")
    found = open_data(str(path), flower_net(missing=True), F32).train()["measures"]
    assert np.isnan(found[0, 1])


def test_many_rows_keep_their_order(tmp_path):
    lines = "".join(f"{i},{-i},{i % 3}\n" for i in range(9000))
    arrays = open_data(str(table(tmp_path, "a,b,species\n" + lines)), flower_net(), F32).train()
    np.testing.assert_array_equal(arrays["measures"][:, 0], np.arange(9000))
    np.testing.assert_array_equal(arrays["species"], np.arange(9000) % 3)


# -- sources that are none -------------------------------------------------------------------------


def test_unknown_sources(tmp_path):
    refused(tmp_path / "nothing.npz", net(), "does not exist", "`digits`")
    refused(tmp_path, net(), "no data that netc knows", "MNIST")
    (tmp_path / "x.txt").write_text("")
    refused(tmp_path / "x.txt", net(), "`.txt`")
