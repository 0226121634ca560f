"""Runs: what is done again and what is not, kills, locks, references, damage, full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unsup_asr.engine.artifacts import ReferencesSealedError
from unsup_asr.engine.keys import stage_keys
from unsup_asr.engine.stages import (
    Stage,
    StageContext,
    StageFailedError,
    UnknownStageError,
    run_stages,
    stages_that_see_references,
)
from unsup_asr.engine.status import status


def config(**changes: object) -> DictConfig:
    base = {"speech": {"hours": 1, "runtime": {"jobs": 1}}, "text": {"lines": 3}, "seed": 0}
    made = OmegaConf.create({**base, "runtime": {"num_threads": 1}})
    for key, value in changes.items():
        OmegaConf.update(made, key.replace("__", "."), value)
    return made


def graph(ran: list[str]) -> list[Stage]:
    """speech and text, joined by a stage that reads both."""

    def run(context: StageContext) -> None:
        ran.append(context.stage)
        made = [context.input(name).file("value.txt").read_text() for name in context.artifacts]
        own = OmegaConf.to_yaml(context.config)
        (context.out / "value.txt").write_text("".join(made) + own + str(context.seed))

    return [
        Stage("speech", run, config_keys=("speech",)),
        Stage("text", run, config_keys=("text",)),
        Stage("join", run, ("speech", "text")),
    ]


def states(ran: list[str], now: DictConfig, root: Path) -> dict[str, tuple[str, str]]:
    return {row.stage: (row.state, row.reason) for row in status(graph(ran), now, root)}


def one_stage(run: object, **options: object) -> list[Stage]:
    return [Stage("only", run, **options)]  # type: ignore[arg-type]


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    ran: list[str] = []
    run_stages(graph(ran), config(), tmp_path)
    run_stages(graph(ran), config(), tmp_path)
    assert ran == ["speech", "text", "join"]


def test_an_input_can_stand_for_another(tmp_path: Path) -> None:
    """One function serves a stage and its later twin, which reads other stages in their place."""
    ran: list[str] = []
    stages = graph(ran)

    def reads_text(context: StageContext) -> None:
        assert set(context.artifacts) == {"speech", "text"}
        (context.out / "value.txt").write_text(context.input("text").file("value.txt").read_text())

    twin = Stage("twin", reads_text, ("speech", "join"), stands_for={"join": "text"})
    run_stages([*stages, twin], config(), tmp_path)
    made = [(tmp_path / "latest" / name / "value.txt").read_text() for name in ("join", "twin")]
    assert made[0] == made[1]
    ran.clear()
    run_stages([*stages, twin], config(text__lines=4), tmp_path)
    assert ran == ["text", "join"]
    again = [(tmp_path / "latest" / name / "value.txt").read_text() for name in ("join", "twin")]
    assert again[0] == again[1] != made[0]


def test_a_changed_option_runs_again_exactly_what_depends_on_it(tmp_path: Path) -> None:
    ran: list[str] = []
    run_stages(graph(ran), config(), tmp_path)
    ran.clear()
    run_stages(graph(ran), config(text__lines=4), tmp_path)
    assert ran == ["text", "join"]


def test_runtime_options_change_no_key_at_any_depth(tmp_path: Path) -> None:
    ran: list[str] = []
    run_stages(graph(ran), config(), tmp_path)
    ran.clear()
    changed = config(runtime__num_threads=8, speech__runtime__jobs=8)
    run_stages(graph(ran), changed, tmp_path)
    assert ran == []


def test_a_seed_or_a_version_is_part_of_the_key(tmp_path: Path) -> None:
    ran: list[str] = []
    first = run_stages(graph(ran), config(), tmp_path)
    assert run_stages(graph(ran), config(seed=1), tmp_path)["text"] != first["text"]
    newer = [Stage("text", graph(ran)[1].run, config_keys=("text",), version=2)]
    assert run_stages(newer, config(), tmp_path)["text"] != first["text"]


def test_until_runs_only_what_leads_there(tmp_path: Path) -> None:
    ran: list[str] = []
    run_stages(graph(ran), config(), tmp_path, until="text")
    assert ran == ["text"]
    run_stages(graph(ran), config(), tmp_path, until="join")
    assert ran == ["text", "speech", "join"]


def test_unknown_stages_are_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownStageError, match=r"'txt'.*speech, text, join"):
        run_stages(graph([]), config(), tmp_path, until="txt")
    with pytest.raises(UnknownStageError, match="not needed for 'text'"):
        run_stages(graph([]), config(), tmp_path, until="text", force=["join"])


def test_a_forced_stage_runs_again_and_so_does_all_that_was_made_from_it(tmp_path: Path) -> None:
    ran: list[str] = []
    run_stages(graph(ran), config(), tmp_path)
    ran.clear()
    assert states(ran, config(), tmp_path)["join"] == ("done", "")
    run_stages(graph(ran), config(), tmp_path, until="text", force=["text"])
    assert ran == ["text"]
    assert states(ran, config(), tmp_path)["text"] == ("done", "")
    assert states(ran, config(), tmp_path)["join"] == ("stale", "input text was made again")
    run_stages(graph(ran), config(), tmp_path)
    assert ran == ["text", "join"]
    assert {state for state, _ in states(ran, config(), tmp_path).values()} == {"done"}


def stopping(made: list[str], stop: list[bool]) -> Callable[[StageContext], None]:
    """A resumable stage in two steps, that ends after the first while `stop` says so."""

    def run(context: StageContext) -> None:
        for step in ("a", "b"):
            if not (context.out / step).exists():
                source = context.input("source").file("value").read_text()
                (context.out / step).write_text(source)
                made.append(f"{step}{source}")
            if stop[0]:
                raise KeyboardInterrupt

    return run


def test_a_resumable_stage_goes_on_only_from_the_inputs_it_was_begun_with(tmp_path: Path) -> None:
    given, made, stop = ["1"], [], [True]

    def source(context: StageContext) -> None:
        (context.out / "value").write_text(given[0])

    slow = Stage("slow", stopping(made, stop), ("source",), resumable=True)
    stages = [Stage("source", source), slow]

    def again(*force: str) -> None:
        made.clear()
        with suppress(KeyboardInterrupt):
            run_stages(stages, config(), tmp_path, force=force)

    again()
    assert made == ["a1"]
    given[0] = "2"
    again("source")
    assert made == ["a2"]
    stop[0] = False
    again()
    assert made == ["b2"]
    stop[0] = True
    again("slow")
    assert made == ["a2"]
    stop[0] = False
    again("slow")  # the same command goes on
    assert made == ["b2"]
    again("slow")
    assert made == ["a2", "b2"]


def test_what_was_killed_while_it_replaced_a_result_has_the_old_one(tmp_path: Path) -> None:
    ran: list[str] = []
    join = run_stages(graph(ran), config(), tmp_path)["join"]
    join.rename(join.with_name(f"{join.name}.replaced"))
    join.with_name(f"{join.name}.partial").mkdir()
    ran.clear()
    run_stages(graph(ran), config(), tmp_path)
    assert ran == []
    assert (join / "stage.json").exists()


def test_a_forced_stage_that_fails_leaves_the_old_result(tmp_path: Path) -> None:
    def fail(_: StageContext) -> None:
        raise ValueError("no")

    join = run_stages(graph([]), config(), tmp_path)["join"]
    failing = [*graph([])[:2], Stage("join", fail, ("speech", "text"))]
    with pytest.raises(StageFailedError):
        run_stages(failing, config(), tmp_path, force=["join"])
    assert states([], config(), tmp_path)["join"] == ("done", "")
    assert (join / "value.txt").exists()


def test_a_stage_sees_its_own_config_and_no_other(tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def run(context: StageContext) -> None:
        seen.update(context.config)  # type: ignore[arg-type]
        with pytest.raises(OmegaConfBaseException, match="text"):
            _ = context.config.text

    run_stages(one_stage(run, config_keys=("speech",)), config(), tmp_path)
    assert sorted(seen) == ["runtime", "seed", "speech"]


def test_status_says_why_in_words(tmp_path: Path) -> None:
    assert states([], config(), tmp_path)["join"] == ("missing", "has not run")
    run_stages(graph([]), config(), tmp_path)
    assert set(states([], config(), tmp_path).values()) == {("done", "")}
    found = states([], config(text__lines=4, speech__hours=2), tmp_path)
    assert found["text"] == ("stale", "text.lines 3 -> 4")
    assert found["join"] == ("stale", "input speech changed; input text changed")
    assert states([], config(seed=5), tmp_path)["text"] == ("stale", "seed 0 -> 5")


def test_status_tells_partial_damaged_and_deleted_apart(tmp_path: Path) -> None:
    folders = run_stages(graph([]), config(), tmp_path)
    folders["text"].rename(folders["text"].with_name(f"{folders['text'].name}.partial"))
    (folders["speech"] / "value.txt").write_text("cut")
    (folders["join"] / "stage.json").unlink()
    found = states([], config(), tmp_path)
    assert found["text"][0] == "partial"
    assert found["speech"][0] == "damaged"
    assert "value.txt" in found["speech"][1]
    assert found["join"][0] == "missing"


def test_the_record_says_who_made_it_from_what(tmp_path: Path) -> None:
    folders = run_stages(graph([]), config(), tmp_path)
    record = json.loads((folders["join"] / "stage.json").read_text())
    assert record["inputs"]["text"] == folders["text"].name
    assert record["outputs"]["value.txt"]["bytes"] == (folders["join"] / "value.txt").stat().st_size
    assert record["wall_s"] >= 0
    assert record["peak_rss_mb"] > 1
    assert "omegaconf" not in record["versions"]
    assert "numpy" in record["versions"]
    assert "stage join" in (folders["join"] / "log.txt").read_text()


def test_the_content_of_a_users_file_decides_not_its_time(tmp_path: Path) -> None:
    given = tmp_path / "given" / "a.txt"
    given.parent.mkdir()
    given.write_text("old")
    ran: list[str] = []
    stages = one_stage(
        lambda context: ran.append(context.stage), external_files=lambda _: [given.parent]
    )
    run_stages(stages, config(), tmp_path / "exp")
    os.utime(given, (1, 1))
    run_stages(stages, config(), tmp_path / "exp")
    assert len(ran) == 1
    given.write_text("new")
    os.utime(given, (1, 1))
    assert status(stages, config(), tmp_path / "exp")[0].reason == f"{given.parent} changed"
    run_stages(stages, config(), tmp_path / "exp")
    assert len(ran) == 2


def test_digests_of_settled_files_are_remembered_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unsup_asr.engine.keys._SETTLED_NS", 0)
    given = tmp_path / "a.txt"
    given.write_text("old")
    stages = one_stage(lambda _: None, external_files=lambda _: [given])
    first = run_stages(stages, config(), tmp_path / "exp")["only"]
    remembered = json.loads((tmp_path / "exp" / ".digests.json").read_text())
    assert list(remembered) == [str(given)]
    facts = given.stat()
    given.write_text("new")  # same size; the modification time is put back
    os.utime(given, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert run_stages(stages, config(), tmp_path / "exp")["only"] != first


def test_a_missing_users_file_is_named_before_the_stage_runs(tmp_path: Path) -> None:
    ran: list[str] = []
    stages = one_stage(
        lambda context: ran.append(context.stage), external_files=lambda _: [tmp_path / "no.wav"]
    )
    with pytest.raises(StageFailedError, match=r"stage only: .*no\.wav does not exist"):
        run_stages(stages, config(), tmp_path)
    assert ran == []


def test_references_open_only_to_a_stage_that_declares_it(tmp_path: Path) -> None:
    def corpus(context: StageContext) -> None:
        (context.out / "references").mkdir()
        (context.out / "references" / "test.tsv").write_text("secret")

    def peek(context: StageContext) -> None:
        context.input("corpus").file("references/test.tsv").read_text()

    def climb(context: StageContext) -> None:
        context.input("corpus").file("audio/../references/test.tsv").read_text()

    def look(context: StageContext) -> None:
        context.input("corpus").has("references/test.tsv")

    source = Stage("corpus", corpus)
    with pytest.raises(StageFailedError, match="ReferencesSealedError") as caught:
        run_stages([source, Stage("train", peek, ("corpus",))], config(), tmp_path)
    assert isinstance(caught.value.__cause__, ReferencesSealedError)
    with pytest.raises(StageFailedError, match="ReferencesSealedError"):
        run_stages([source, Stage("train", climb, ("corpus",))], config(), tmp_path)
    with pytest.raises(StageFailedError, match="ReferencesSealedError"):
        run_stages([source, Stage("train", look, ("corpus",))], config(), tmp_path)
    run_stages(
        [source, Stage("evaluate", peek, ("corpus",), reads_references=True)], config(), tmp_path
    )


def test_whatever_is_made_from_references_counts_as_seeing_them() -> None:
    def nothing(_: StageContext) -> None: ...

    stages = [
        Stage("corpus", nothing),
        Stage("supervised", nothing, ("corpus",), reads_references=True),
        Stage("train", nothing, ("corpus",)),
        Stage("fine_tune", nothing, ("train", "supervised")),
    ]
    assert stages_that_see_references(stages) == {"supervised", "fine_tune"}


def test_a_changed_byte_of_the_same_size_is_found_before_a_stage_reads_it(tmp_path: Path) -> None:
    folders = run_stages(graph([]), config(), tmp_path)
    payload = folders["speech"] / "value.txt"
    payload.write_text("X" + payload.read_text()[1:])
    with pytest.raises(StageFailedError, match=r"value\.txt is damaged.*--force speech"):
        run_stages(graph([]), config(text__lines=9), tmp_path)
    run_stages(graph([]), config(text__lines=9), tmp_path, force=["speech"])


def test_a_file_of_another_size_is_found_even_if_nothing_needs_it(tmp_path: Path) -> None:
    folders = run_stages(graph([]), config(), tmp_path)
    (folders["join"] / "value.txt").write_text("short")
    with pytest.raises(StageFailedError, match=r"value\.txt is damaged: it has 5 bytes"):
        run_stages(graph([]), config(), tmp_path)
    (folders["join"] / "value.txt").unlink()
    with pytest.raises(StageFailedError, match=r"value\.txt is missing"):
        run_stages(graph([]), config(), tmp_path)


def test_bad_values_name_the_stage_and_bugs_leave_a_traceback(tmp_path: Path) -> None:
    def bad(_: StageContext) -> None:
        raise ValueError("a.wav: 0 samples")

    def bug(_: StageContext) -> None:
        raise KeyError("oops")

    with pytest.raises(StageFailedError, match=r"^stage only: a\.wav: 0 samples$"):
        run_stages(one_stage(bad), config(), tmp_path)
    with pytest.raises(StageFailedError, match=r"KeyError: 'oops' \(traceback in .*log\.txt"):
        run_stages(one_stage(bug), config(), tmp_path)
    (log,) = (tmp_path / "only").glob("*.partial/log.txt")
    assert "Traceback" in log.read_text()


def test_a_full_disk_is_said_as_such(tmp_path: Path) -> None:
    def fill(_: StageContext) -> None:
        with Path("/dev/full").open("w") as stream:
            stream.write("x")

    with pytest.raises(StageFailedError, match=r"stage only: .*is full: free space"):
        run_stages(one_stage(fill), config(), tmp_path)


def test_a_nearly_full_disk_is_mentioned_with_any_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: StageContext) -> None:
        raise RuntimeError("could not write the weights")

    monkeypatch.setattr("unsup_asr.engine.stages._ALMOST_FULL_BYTES", 2**63)
    with pytest.raises(StageFailedError, match="MiB left: free space"):
        run_stages(one_stage(fail), config(), tmp_path)


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "exp").write_text("a file where a folder should be")
    with pytest.raises(StageFailedError, match=r"exp a folder that you may write to\? --exp"):
        run_stages(one_stage(lambda _: None), config(), tmp_path / "exp")


def test_two_processes_do_not_run_one_stage_at_a_time(tmp_path: Path) -> None:
    (row,) = status(one_stage(lambda _: None), config(), tmp_path)
    (tmp_path / "only").mkdir()
    with (
        FileLock(tmp_path / "only" / f".{row.key}.lock"),
        pytest.raises(StageFailedError, match="being run by another process"),
    ):
        run_stages(one_stage(lambda _: None), config(), tmp_path)


KILLED = """
import sys, time
from pathlib import Path
from omegaconf import OmegaConf
from unsup_asr.engine.stages import Stage, run_stages

root, pause = Path(sys.argv[1]), float(sys.argv[2])

def first(context):
    (context.out / "numbers.txt").write_text("1 2 3")

def steps(context):
    for step in range(5):
        checkpoint = context.out / f"step{step}.txt"
        if checkpoint.exists():
            print(f"found {step}", flush=True)
            continue
        numbers = context.input("first").file("numbers.txt").read_text()
        checkpoint.write_text(str(step * len(numbers)))
        print(f"made {step}", flush=True)
        if step == 2:
            time.sleep(pause)

resumable = sys.argv[3] == "resumable"
stages = [Stage("first", first), Stage("steps", steps, ("first",), resumable=resumable)]
run_stages(stages, OmegaConf.create({"seed": 0}), root)
"""


@pytest.mark.parametrize("kind", ["resumable", "from_scratch"])
def test_a_killed_run_goes_on_and_ends_with_the_same_files(tmp_path: Path, kind: str) -> None:
    def command(root: str, pause: int) -> list[str]:
        return [sys.executable, "-c", KILLED, str(tmp_path / root), str(pause), kind]

    with subprocess.Popen(command("killed", 60), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "made 2":
            pass
        process.send_signal(signal.SIGKILL)
    assert not list((tmp_path / "killed" / "steps").glob("*/stage.json"))

    again = subprocess.run(command("killed", 0), capture_output=True, text=True, check=True)
    subprocess.run(command("whole", 0), capture_output=True, check=True)
    kept = "found" if kind == "resumable" else "made"
    assert again.stdout.split("\n")[0] == f"{kept} 0"
    assert payloads(tmp_path / "killed") == payloads(tmp_path / "whole")
    assert len(payloads(tmp_path / "whole")) == 6


def payloads(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for path in root.glob("[!l]*/*/*.txt")
        if path.name != "log.txt"
    }


def test_two_thousand_files_are_described_and_checked(tmp_path: Path) -> None:
    def many(context: StageContext) -> None:
        for number in range(2000):
            (context.out / f"{number}.flac").write_bytes(number.to_bytes(2, "big") * 500)

    folders = run_stages(one_stage(many), config(), tmp_path)
    reader = Stage("reader", lambda _: None, ("only",))
    run_stages([*one_stage(many), reader], config(), tmp_path)
    assert len(json.loads((folders["only"] / "stage.json").read_text())["outputs"]) == 2000


def test_a_stage_may_read_a_part_of_a_group_and_runtime_enters_no_key(tmp_path: Path) -> None:
    def run(context: StageContext) -> None:
        assert context.config.speech.hours == 1
        with pytest.raises(OmegaConfBaseException, match="loud"):
            _ = context.config.speech.loud

    made = config(speech__loud=True)
    part = one_stage(run, config_keys=("speech.hours", "speech.runtime"))
    first = run_stages(part, made, tmp_path)
    assert run_stages(part, config(speech__loud=False), tmp_path) == first
    assert run_stages(part, config(speech__runtime__jobs=9), tmp_path) == first
    assert stage_keys(part, config(speech__hours=2), tmp_path)["only"]["key"] != first["only"].name


def test_changed_weights_of_an_upstream_run_again_what_reads_it(tmp_path: Path) -> None:
    weights = tmp_path / "weights.txt"
    weights.write_text("1.0")
    node = {"_target_": "tests.unsup_asr.tiny_upstream.TinyUpstream", "weights": str(weights)}
    now = config(speech__upstream=node)
    reads = one_stage(
        lambda _: None, config_keys=("speech",), upstreams=("speech.upstream", "speech.other")
    )
    exp = tmp_path / "exp"
    first = run_stages(reads, now, exp)
    assert run_stages(reads, now, exp) == first
    weights.write_text("2.0")
    (row,) = status(reads, now, exp)
    assert (row.state, row.reason) == ("stale", "what speech.upstream gives changed")
    assert run_stages(reads, now, exp) != first


def test_a_stage_that_another_process_runs_can_be_waited_for(tmp_path: Path) -> None:
    ran: list[str] = []
    stages = graph(ran)[:1]
    key = str(stage_keys(stages, config(), tmp_path)["speech"]["key"])
    lock = FileLock(tmp_path / "speech" / f".{key}.lock", thread_local=False)
    (tmp_path / "speech").mkdir()
    lock.acquire()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run_stages, stages, config(), tmp_path, wait=True)
        with pytest.raises(StageFailedError, match="or let --wait do so"):
            run_stages(stages, config(), tmp_path)
        assert not waiting.done()
        lock.release()
        waiting.result(timeout=30)
    assert ran == ["speech"]
