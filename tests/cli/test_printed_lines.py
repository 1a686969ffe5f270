"""What `train` prints, with every feature on: lines of at most 80 columns, and an end in one line."""

import fcntl
import json
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from nucseg_jax.core.files import write_json
from tests.cli.test_own_data_set import IMAGES, write_image
from tests.conftest import ROOT, CommandLine

GROUPS = dict(zip(IMAGES, ("ward A", "ward A", "ward B", "ward C"), strict=True))
CONFIG = """
from configs import folder


def get_config():
    config = folder.get_config()
    config.data.release_dir, config.data.dir = "lab", "data"
    config.data.patch_px, config.data.microns_per_px = 128, 0.5
    config.split.protocol, config.split.folds = "k_fold", 3
    config.model.width, config.model.num_classes, config.model.encoder_depths = 0.125, 3, (1, 1, 1)
    config.pretrained.path, config.transfer.freeze_through = "", "conv1"
    config.train.tile_px, config.train.batch_size, config.train.epochs = 64, 4, 3
    config.train.log_every_steps = 1
    config.train.plateau_patience_epochs, config.train.plateau_min_delta = 1, 10.0
    config.eval.overlays, config.eval.time_inference = 2, False
    config.eval.compare_statistics = "epochs"
    return config
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory, warm_server) -> tuple[CommandLine, pathlib.Path]:
    """A folder to start commands in, with short names: two classes, void, three groups, three devices."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "own.py").write_text(CONFIG)
    for part in ("images", "labels"):
        (folder / "lab" / part).mkdir(parents=True)
    for seed, name in enumerate(IMAGES):
        write_image(folder / "lab", name, seed)
    (folder / "lab" / "dataset.yaml").write_text(
        "name: discs\nmicrons_per_px: 0.5\nclasses: {Big one: '#010203', small: '#c80000'}\n"
        f"groups: {json.dumps(GROUPS)}\n"
    )
    line = CommandLine(folder / "data", warm_server)
    line.environment["JAX_NUM_CPU_DEVICES"] = "3"
    status, _, err = line.run("prepare", "--config=own.py", cwd=folder)
    assert status == 0, err
    return line, folder


@pytest.fixture(scope="module")
def log(lab) -> str:
    """What a run prints into a file, standard error included."""
    line, folder = lab
    status, out, err = line.run("train", "--config=own.py", "--workdir=runs/log", cwd=folder)
    assert status == 0, err
    return out + err


def printed_on_a_terminal(line: CommandLine, folder: pathlib.Path, *arguments: str) -> str:
    """What a command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "launch.py"), *arguments],
        **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
        cwd=folder,
        env={**os.environ, **line.environment},
    )
    os.close(theirs)
    chunks = []
    try:
        while chunk := os.read(ours, 65536):
            chunks.append(chunk)
    except OSError:
        # The end of a terminal that nobody holds any more.
        pass
    os.close(ours)
    text = b"".join(chunks).decode()
    assert process.wait() == 0, text
    return text


def too_wide(text: str) -> list[str]:
    """Lines of more than 80 columns; a carriage return begins a line again."""
    bare = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return [line for line in re.split(r"[\r\n]", bare) if len(line) > 80]


def test_lines_of_a_log_have_80_columns_and_say_all_that_is_on(log):
    assert too_wide(log) == []
    lines = log.splitlines()
    assert re.fullmatch(r"nucseg_jax \S+: training own\.py into runs/log", lines[0])
    for label in ("patches", "groups", "split", "devices", "weights", "frozen", "feed", "start-up"):
        assert any(line.startswith(f"{label:<10}") for line in lines), label
    assert "; 1 idle: " in " ".join(log.split())
    # The waits come before what is waited for.
    waits = [lines.index(line) for line in lines if line.startswith("compiling the ")]
    start = next(index for index, line in enumerate(lines) if line.startswith("start-up"))
    header = next(index for index, line in enumerate(lines) if line.startswith("epoch "))
    assert waits[0] < start < waits[1] < header
    # By each batch's own statistics there is one Dice more.
    epochs = [line.split() for line in lines[header:] if re.match(r"[123]/3 ", line)]
    assert [line[0] for line in epochs] == ["1/3", "2/3", "3/3"]
    assert all(len([cell for cell in line if re.fullmatch(r"\d\.\d{4}", cell)]) == 5 for line in epochs)
    # No later validation is better by 10: the rate falls for the third epoch, and shows there.
    assert ["lr" in line for line in epochs] == [False, False, True]


def test_what_epochs_print_no_longer_is_in_their_lines_of_metrics(lab, log):
    lines = [json.loads(line) for line in (lab[1] / "runs/log/metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert len(epochs) == 3
    for line in epochs:
        assert line["learning_rate"] > 0
        assert "dice_loss_with_nuclei" in line["train"]
        assert "iou" in line["validation"]["micro"]


def test_lines_of_a_terminal_have_80_columns(lab, log):
    line, folder = lab
    text = printed_on_a_terminal(line, folder, "train", "--config=own.py", "--workdir=runs/tty")
    assert too_wide(text) == []
    assert re.search(r"%\|.*\| step \d+/12", text)
    # The same numbers as in the log.
    ends = [next(line for line in each.splitlines() if line.startswith("test Dice")) for each in (text, log)]
    assert ends[0] == ends[1]


def test_a_run_ends_with_its_test_dice_beside_otsus_and_so_does_a_second_start(lab, log):
    line, folder = lab
    results = json.loads((folder / "runs/log/results.json").read_text())
    otsu = json.loads((folder / "runs/log/baselines.json").read_text())["otsu_hematoxylin"]["test"]
    end = log[log.index("test Dice") :]
    assert end.startswith(
        f"test Dice {results['test']['micro']['dice']:.4f} (micro, 8 patches);"
        f" Otsu's threshold: {otsu['micro']['dice']:.4f}\n"
    )
    assert "image_skip" not in log
    for command in ("predict", "report", "evaluate"):
        assert re.search(rf"python launch\.py {command} --(workdir|runs)=runs/log", end), command
    status, again, err = line.run("train", "--config=own.py", "--workdir=runs/log", cwd=folder)
    assert status == 0, err
    assert again.endswith(end)
    status, out, err = line.run("evaluate", "--workdir=runs/log", "--baselines", cwd=folder)
    assert status == 0, err
    # What evaluate computes again, with its own code path.
    assert end.splitlines()[0] in out
    assert out.index("test Dice") < out.index("image_skip")


def test_a_baselines_file_that_was_altered_is_named_and_the_end_does_without(lab, log):
    line, folder = lab
    file = folder / "runs/log/baselines.json"
    before = file.read_bytes()
    try:
        write_json(file, {"otsu_hematoxylin": {"test": {"micro": {"dice": 0.0}}}})
        status, out, err = line.run("train", "--config=own.py", "--workdir=runs/log", cwd=folder)
    finally:
        file.write_bytes(before)
    assert status == 0, err
    assert "baselines.json" in out
    assert re.search(r"^test Dice \d\.\d{4} \(micro, 8 patches\)$", out, re.MULTILINE)


def test_the_first_line_comes_within_a_second_even_where_an_error_follows(tmp_path, command_line):
    """Of processor time: the machine may be busy."""
    process = command_line.start("train", *command_line.config, "--config.data.dir=none", "--workdir=run")
    line = process.stdout.readline()
    used = sum(
        map(int, pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    )
    process.communicate()
    assert line.startswith("nucseg_jax ")
    assert used / os.sysconf("SC_CLK_TCK") < 1
