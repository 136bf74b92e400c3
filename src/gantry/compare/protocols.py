"""Which numbers were measured alike, and how the others were measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.compare.run_record import BEST_AND_LAST, RunRecord
from gantry.evaluation.protocol import find_protocol_differences
from gantry.sampling.batchnorm_mode import NO_BATCHNORM


def label_protocols(runs: Sequence[RunRecord]) -> list[str]:
    """A letter for each run: those of one letter were measured alike; "" without numbers."""
    alike: list[list[RunRecord]] = []
    letters = []
    for run in runs:
        i = next(
            (i for i, others in enumerate(alike) if not any(compare_run_protocols(one, run) for one in others)),
            len(alike),
        )
        if run.entries:
            alike[i:] = [[*(alike[i] if i < len(alike) else []), run], *alike[i + 1 :]]
        letters.append(make_letter_label(i) if run.entries else "")
    return letters


def make_letter_label(i: int) -> str:
    """A, B, ... Z, A1, B1, ..."""
    return chr(ord("A") + i % 26) + (str(i // 26) if i >= 26 else "")


def compare_run_protocols(a: RunRecord, b: RunRecord) -> list[str]:
    """What the protocols of two runs disagree on, for best and for last."""
    shared = [place for place in BEST_AND_LAST if place in a.entries and place in b.entries]
    if not shared:
        return ["best and last: other ones"]
    pairs = [(a.entries[place]["protocol"], b.entries[place]["protocol"]) for place in shared]
    return list(
        dict.fromkeys(line for one, other in pairs for line in find_protocol_differences(*drop_run_facts(one, other)))
    )


def drop_run_facts(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two protocols without what belongs to the runs: how the checkpoint was chosen, and that a G has no BatchNorm."""
    without = {"checkpoint"} | ({"batchnorm"} if NO_BATCHNORM in (a.get("batchnorm"), b.get("batchnorm")) else set())
    one, other = ({name: fact for name, fact in c.items() if name not in without} for c in (a, b))
    return one, other


def list_selection_rules(runs: Sequence[RunRecord]) -> list[str]:
    """How the best checkpoints were chosen, each way once, if there was more than one."""
    said = [run.entries["best"]["protocol"].get("checkpoint") for run in runs if "best" in run.entries]
    ways = {str(way): said.count(way) for way in said}
    return [f"{count} best by: {way}" for way, count in ways.items()] if len(ways) > 1 else []


def format_run_protocol(run: RunRecord) -> str:
    """How the numbers of a run were measured, in a line."""
    entry = run.entries.get("last") or run.entries.get("best")
    if entry is None:
        return "no numbers"
    when = "report" if run.has_report else "while training"
    return f"{when}: {format_protocol(entry['protocol'])}"


def format_protocol(protocol: Mapping[str, Any]) -> str:
    """`digits: 10000 samples of seed 1 against digits train (1797)`."""
    fact = {name: protocol.get(name, "?") for name in ("extractor", "num_samples", "seed", "real", "real_split")}
    drawn = f"{fact['num_samples']} samples of seed {fact['seed']}"
    real = f"{fact['real']} {fact['real_split']} ({protocol.get('real_count', '?')})"
    return f"{fact['extractor']}, {drawn} against {real}"


def format_protocol_legend(runs: Sequence[RunRecord], letters: Sequence[str]) -> list[str]:
    """A line for each letter: how it was measured, and what sets it apart from the first."""
    firsts = {mark: run for mark, run in reversed(list(zip(letters, runs))) if mark}
    lines = []
    for mark in sorted(firsts, key=lambda mark: (len(mark), mark)):
        run, first = firsts[mark], firsts["A"]
        apart = (
            f"; not comparable with A: {'; '.join(map(clip_line, compare_run_protocols(first, run)))}"
            if mark != "A"
            else ""
        )
        lines.append(f"{mark}: {format_run_protocol(run)}{apart}")
    return lines


def clip_line(line: str) -> str:
    """A difference without the tails of long values."""
    return line if len(line) <= 160 else f"{line[:157]}..."
