import json
import pathlib
import signal
import struct
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from nucseg_jax.core.errors import UserError
from nucseg_jax.run_folder.metrics_log import MetricsLog, SummaryWriter, read_metrics, validation_scores


def test_values_of_every_kind_become_strict_json(tmp_path: pathlib.Path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        values = {
            "loss": jnp.float32(0.1),
            "bad": np.float32("nan"),
            "worse": float("-inf"),
            "count": np.int32(7),
            "half": jnp.bfloat16(0.5),
            "best": np.True_,
            "test": {"micro": {"dice": 0.8, "iou": None}, "curve": jnp.array([1.0, jnp.inf])},
            "name": "a",
        }
        log.write(np.int32(50), 0, "train", values)
        # On disk before the file is closed.
        (line,) = path.read_text().splitlines()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(line, parse_constant=refuse) == {
        "step": 50,
        "epoch": 0,
        "kind": "train",
        "loss": 0.1,
        "bad": None,
        "worse": None,
        "count": 7,
        "half": 0.5,
        "best": True,
        "test": {"micro": {"dice": 0.8, "iou": None}, "curve": [1.0, None]},
        "name": "a",
    }


def test_every_float32_reads_back_exactly(tmp_path: pathlib.Path):
    bits = np.random.default_rng(0).integers(0, 2**32, 500, dtype=np.uint32)
    numbers = bits.view(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.write(1, 0, "train", {"numbers": numbers})
    (line,) = read_metrics(tmp_path / "metrics.jsonl")
    assert np.array_equal(np.array(line["numbers"], np.float32), numbers)


def test_a_resumed_file_equals_one_never_stopped(tmp_path: pathlib.Path):
    def write(log: MetricsLog, steps: range) -> None:
        for step in steps:
            log.write(step, step // 10, "train", {"loss": 1 / step})

    with MetricsLog(tmp_path / "straight.jsonl") as log:
        write(log, range(1, 31))
    with MetricsLog(tmp_path / "stopped.jsonl") as log:
        write(log, range(1, 25))
    with (tmp_path / "stopped.jsonl").open("a") as file:
        file.write('{"step": 25, "epo')  # what SIGKILL leaves
    with MetricsLog(tmp_path / "stopped.jsonl") as log:
        log.truncate_after(17)
        write(log, range(18, 31))
    assert (tmp_path / "stopped.jsonl").read_bytes() == (tmp_path / "straight.jsonl").read_bytes()


def test_lines_that_are_kept_are_kept_byte_for_byte(tmp_path: pathlib.Path):
    """The run's record holds a digest of them."""
    path, lines = tmp_path / "metrics.jsonl", [b'{"step":1, "loss": 1e-05}', b'{"loss":  0.10, "step": 2}']
    path.write_bytes(b"\n".join([*lines, b'{"step": 3}', b""]))
    with MetricsLog(path) as log:
        log.truncate_after(2)
    assert path.read_bytes() == b"\n".join([*lines, b""])


@pytest.mark.parametrize(
    "line",
    [b'{"step": 1e999}', b'{"step": NaN}', b"[" * 100_000, b'{"step": true}', b'{"step": 1, "step": 2}'],
)
def test_a_damaged_line_is_one_error_that_names_it(tmp_path: pathlib.Path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(UserError, match=r"line 2 of .*metrics\.jsonl"):
        read_metrics(path)


@pytest.mark.parametrize(
    "line", ['{"step": 8, "kind": "epoch"}', '{"step": 8, "kind": "epoch", "validation": 3}']
)
def test_an_epoch_line_without_its_score_is_named(tmp_path: pathlib.Path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line + "\n")
    assert validation_scores(path, up_to_step=7) == {}
    with pytest.raises(UserError, match="step 8 without the Dice"):
        validation_scores(path, up_to_step=8)


def test_a_torn_last_line_is_dropped_without_a_restored_step(tmp_path: pathlib.Path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "epoch": 0, "kind": "train"}\n{"step": 2, "epoch": 0, "kind": "train"}')
    assert [line["step"] for line in read_metrics(path)] == [1]
    with MetricsLog(path) as log:
        log.write(3, 0, "train", {})
    assert [line["step"] for line in read_metrics(path)] == [1, 3]


def test_lines_outlive_a_kill(tmp_path: pathlib.Path):
    path = tmp_path / "metrics.jsonl"
    program = (
        "import pathlib, sys, time\n"
        "from nucseg_jax.run_folder.metrics_log import MetricsLog\n"
        "MetricsLog(pathlib.Path(sys.argv[1])).write(1, 0, 'train', {'loss': 0.5})\n"
        "print('written', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert read_metrics(path) == [{"step": 1, "epoch": 0, "kind": "train", "loss": 0.5}]


def test_a_broken_line_in_the_middle_is_named(tmp_path: pathlib.Path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nhello\n{"step": 2}\n')
    with pytest.raises(UserError, match=r"line 2 of .*metrics.jsonl is b'hello'"):
        MetricsLog(path)
    assert "hello" in path.read_text()


def test_a_value_cannot_hide_the_step(tmp_path: pathlib.Path):
    with MetricsLog(tmp_path / "metrics.jsonl") as log, pytest.raises(ValueError, match="epoch, step"):
        log.write(1, 0, "train", {"step": 2, "epoch": 3})


def events_of(folder: pathlib.Path) -> list[Event]:
    """Events of all files in the order of writing: length, checksum, message, checksum."""
    events = []
    for path in sorted(folder.glob("*tfevents*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            events.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return events


def test_event_files_hold_what_was_written(tmp_path: pathlib.Path):
    writer = SummaryWriter(tmp_path)
    writer.write_hparams(
        {"train": {"lr": 1e-4, "seed": 3}, "model": {"encoder": "resnet50", "widths": (4, 8)}}
    )
    writer.write_scalars(7, {"validation/dice": jnp.float32(0.75), "undefined": None})
    writer.write_images(7, {"overlay": np.zeros((2, 5, 6, 3), np.uint8)})
    # Not closed yet: what was written would outlive a kill.
    values = {
        value.tag: (event.step, value) for event in events_of(tmp_path) for value in event.summary.value
    }
    writer.close()
    assert values["validation/dice"][0] == 7
    assert values["validation/dice"][1].simple_value == 0.75
    assert "undefined" not in values
    assert (values["overlay"][1].image.height, values["overlay"][1].image.width) == (5, 12)
    hparams = values["_hparams_/session_start_info"][1].metadata.plugin_data.content
    assert all(name in hparams for name in (b"train.lr", b"train.seed", b"resnet50", b"(4, 8)"))


def test_a_resumed_writer_hides_later_steps_alone(tmp_path: pathlib.Path):
    writer = SummaryWriter(tmp_path, resume_after_step=40)
    writer.close()
    # TensorBoard drops what came before with a step of at least that of the START event.
    starts = [event.step for event in events_of(tmp_path) if event.HasField("session_log")]
    assert starts == [41]
