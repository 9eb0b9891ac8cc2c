"""CIFAR-10's binary files: read right, and every damage refused before it does harm."""

import os
import tracemalloc

import numpy as np
import pytest

from adaptax.lab import cifar10

RECORDS = 3


def record(label: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, 3072, dtype=np.uint8)
    return bytes([label]) + pixels.tobytes()


def write(folder, records: int = RECORDS):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate([*cifar10.TRAIN, cifar10.TEST]):
        content = b"".join(record((number + i) % 10, 10 * number + i) for i in range(records))
        (folder / name).write_bytes(content)
    return folder


def test_pixels_and_labels_are_where_they_belong(tmp_path):
    red, green, blue = (np.full((32, 32), v, np.uint8) for v in (10, 20, 30))
    red[2, 5] = 99  # row 2, column 5
    path = tmp_path / "one.bin"
    path.write_bytes(bytes([7]) + red.tobytes() + green.tobytes() + blue.tobytes())
    found = cifar10.read_batch(path, records=1)
    assert found.targets.tolist() == [7] and found.targets.dtype == np.int32
    assert found.inputs.shape == (1, 32, 32, 3) and found.inputs.dtype == np.uint8
    assert found.inputs[0, 2, 5].tolist() == [99, 20, 30]
    assert found.inputs[0, 5, 2].tolist() == [10, 20, 30]


@pytest.mark.parametrize("inside", ["", cifar10.FOLDER])
def test_the_folder_or_its_parent(tmp_path, inside):
    write(tmp_path / inside)
    found = cifar10.read_cifar10(tmp_path, records=RECORDS)
    assert found.train.inputs.shape == (5 * RECORDS, 32, 32, 3)
    assert found.train.targets.tolist() == [0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6]
    assert found.test is not None and found.test.targets.tolist() == [5, 6, 7]


def test_official_files_have_ten_thousand_records(tmp_path):
    path = tmp_path / "official.bin"
    with open(path, "wb") as file:
        file.truncate(10_000 * 3073)
    found = cifar10.read_batch(path)
    assert found.inputs.shape == (10_000, 32, 32, 3) and not found.targets.any()


def test_a_small_file_is_read_only_if_its_size_is_stated(tmp_path):
    folder = write(tmp_path)
    with pytest.raises(ValueError, match=r"cut short: 9,219 bytes, expected 30,730,000 \(10,000"):
        cifar10.read_cifar10(folder)


@pytest.mark.parametrize("name", [*cifar10.TRAIN, cifar10.TEST])
def test_a_missing_file_is_named(tmp_path, name):
    (write(tmp_path) / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} missing.*cifar-10-binary"):
        cifar10.read_cifar10(tmp_path, records=RECORDS)


def test_a_missing_folder_and_a_missing_batch_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.* is no folder; unpack.*binary"):
        cifar10.read_cifar10(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no.bin' is missing; unpack.*binary"):
        cifar10.read_batch(tmp_path / "no.bin")


def test_the_pickled_version_is_recognised_and_not_read(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(FileNotFoundError, match="pickled Python version is there, but is not read"):
        cifar10.read_cifar10(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [(-1, "cut short: 9,218"), (-3073, "cut short: 6,146"), (1, "too long: 9,220")],
)
def test_a_wrong_size_is_refused_and_the_file_named(tmp_path, change, problem):
    path = write(tmp_path) / "data_batch_3.bin"
    os.truncate(path, RECORDS * 3073 + change)
    with pytest.raises(ValueError, match=rf"data_batch_3.bin' is {problem} bytes, expected 9,219"):
        cifar10.read_cifar10(tmp_path, records=RECORDS)


def test_the_size_is_checked_before_anything_is_allocated(tmp_path):
    path = tmp_path / "huge.bin"
    with open(path, "wb") as file:
        file.truncate(2**40)  # sparse: a terabyte in name only
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too long: 1,099,511,627,776"):
            cifar10.read_batch(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_label_above_nine_is_refused_with_its_record(tmp_path):
    path = write(tmp_path) / "data_batch_2.bin"
    with open(path, "r+b") as file:
        file.seek(2 * 3073)
        file.write(bytes([10]))
    with pytest.raises(ValueError, match=r"data_batch_2.bin': record 2 has label 10; labels are 0"):
        cifar10.read_cifar10(tmp_path, records=RECORDS)


def test_label_nine_is_read(tmp_path):
    (tmp_path / "nine.bin").write_bytes(record(9, seed=0))
    assert cifar10.read_batch(tmp_path / "nine.bin", records=1).targets.tolist() == [9]


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.bin")
    with pytest.raises(ValueError, match="is not a plain file"):
        cifar10.read_batch(tmp_path / "pipe.bin", records=1)


@pytest.mark.parametrize("records", [0, -1, 1.5, True])
def test_the_number_of_records_is_checked(tmp_path, records):
    with pytest.raises(ValueError, match="whole number of at least 1"):
        cifar10.read_batch(tmp_path / "any.bin", records=records)
