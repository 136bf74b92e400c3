"""Label runs by their evaluation protocol, and describe the protocols."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gantry.compare.run_record import BEST_AND_LAST, RunRecord
from gantry.evaluation.protocol import find_protocol_differences
from gantry.sampling.batchnorm_mode import NO_BATCHNORM

MAX_DIFFERENCE_LENGTH = 160  # characters


def label_protocols(runs: Sequence[RunRecord]) -> list[str]:
    """Return a letter for each run: runs with the same letter were measured alike; "" for a run without scores."""
    alike: list[list[RunRecord]] = []
    labels = []
    for run in runs:
        if not run.entries:
            labels.append("")
            continue
        i = next((i for i, others in enumerate(alike) if not find_run_differences(others, run)), len(alike))
        alike[i:] = [[*(alike[i] if i < len(alike) else []), run], *alike[i + 1 :]]
        labels.append(make_letter_label(i))
    return labels


def make_letter_label(i: int) -> str:
    """Return the label of index i: A, B, ... Z, A1, B1, ..."""
    return chr(ord("A") + i % 26) + (str(i // 26) if i >= 26 else "")


def find_run_differences(others: Iterable[RunRecord], run: RunRecord) -> list[str]:
    """Return how a run was measured differently from the first of the others that it is not comparable with."""
    return next(filter(None, (compare_run_protocols(other, run) for other in others)), [])


def compare_run_protocols(a: RunRecord, b: RunRecord) -> list[str]:
    """Return the differences between the protocols of two runs, over best and last."""
    shared = [which for which in BEST_AND_LAST if which in a.entries and which in b.entries]
    if not shared:
        return ["no checkpoint (best, last) that both have scores of"]
    return list(dict.fromkeys(line for which in shared for line in compare_entry_protocols(a, b, which)))


def compare_entry_protocols(a: RunRecord, b: RunRecord, which: str) -> list[str]:
    """Return the differences between the protocols of two runs, for the best or for the last checkpoint."""
    return find_protocol_differences(*drop_run_facts(a.entries[which]["protocol"], b.entries[which]["protocol"]))


def drop_run_facts(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two protocols without facts about the runs: the selection rule, and that a G has no BatchNorm.

    The settings of single scores are left out, too: see `score_columns`.
    """
    dropped = {"checkpoint", "scores"} | (
        {"batchnorm"} if NO_BATCHNORM in (a.get("batchnorm"), b.get("batchnorm")) else set()
    )
    first, second = ({name: fact for name, fact in protocol.items() if name not in dropped} for protocol in (a, b))
    return first, second


def list_selection_rules(runs: Sequence[RunRecord]) -> list[str]:
    """Return the rules that selected the best checkpoints, with the number of runs, if there are several."""
    rules = [str(run.entries["best"]["protocol"].get("checkpoint")) for run in runs if "best" in run.entries]
    counts = {rule: rules.count(rule) for rule in rules}
    return [f"{rule}: {count} run{'s' * (count != 1)}" for rule, count in counts.items()] if len(counts) > 1 else []


def format_run_protocol(run: RunRecord) -> str:
    """Return the protocol of a run in one line."""
    entry = run.entries.get("last") or run.entries.get("best")
    if entry is None:
        return "no scores"
    source = "report" if run.has_report else "while training"
    return f"{source}: {format_protocol(entry['protocol'])}"


def format_protocol(protocol: Mapping[str, Any]) -> str:
    """Return `digits, 10000 samples of seed 1 against digits train (1797)`."""
    fact = {name: protocol.get(name, "?") for name in ("extractor", "num_samples", "seed", "real", "real_split")}
    samples = f"{fact['num_samples']} samples of seed {fact['seed']}"
    real = f"{fact['real']} {fact['real_split']} ({protocol.get('real_count', '?')})"
    return f"{fact['extractor']}, {samples} against {real}"


def format_protocol_legend(runs: Sequence[RunRecord], labels: Sequence[str]) -> list[str]:
    """Return a line for each letter: its protocol, and how it differs from the first one."""
    by_label: dict[str, list[RunRecord]] = {}
    for run, label in zip(runs, labels):
        if label:
            by_label.setdefault(label, []).append(run)
    lines = []
    for label in sorted(by_label, key=lambda label: (len(label), label)):
        run = by_label[label][0]
        differences = [] if label == "A" else find_run_differences(by_label["A"], run)
        reason = f"; not comparable with A: {'; '.join(map(clip_line, differences))}" if differences else ""
        lines.append(f"{label}: {format_run_protocol(run)}{reason}")
    return lines


def clip_line(line: str) -> str:
    """Return a difference with the end of a long value cut off."""
    return line if len(line) <= MAX_DIFFERENCE_LENGTH else f"{line[: MAX_DIFFERENCE_LENGTH - 3]}..."
