"""Means over the turns since the last row, fetched together, with the speed."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gantry.callbacks import scalars
from gantry.callbacks.scalars import ScalarMonitor
from stubs import RecordingLogger, TinyGan, call_hooks, make_trainer_stub


def losses(turn: int) -> dict[str, Tensor]:
    lazy = {"loss/D/r1": torch.tensor(100.0 * turn)} if turn % 3 == 0 else {}
    return {"loss/D": torch.tensor(float(turn)), "loss/G": torch.tensor(-2.0 * turn), **lazy}


def rows(gan: TinyGan, turns: int, every: int) -> list[tuple[int, dict[str, Any]]]:
    recorder = RecordingLogger()
    call_hooks(ScalarMonitor(every), make_trainer_stub(recorder), gan, turns, losses)
    return recorder.rows


def test_each_row_is_the_mean_since_the_last_one() -> None:
    got = rows(TinyGan(turns=10), turns=10, every=4)
    assert [step for step, _ in got] == [4, 8, 10]
    assert [row["loss/D"] for _, row in got] == [2.5, 6.5, 9.5]
    assert [row["loss/G"] for _, row in got] == [-5.0, -13.0, -19.0]
    assert [row["turn"] for _, row in got] == [4, 8, 10]
    assert [row["kimg"] for _, row in got] == pytest.approx([0.256, 0.512, 0.64])


def test_a_lazy_term_is_averaged_over_the_turns_that_have_it() -> None:
    got = rows(TinyGan(turns=10), turns=10, every=4)
    assert [row["loss/D/r1"] for _, row in got] == [300.0, 600.0, 900.0]


def test_a_row_may_lack_a_lazy_term() -> None:
    got = rows(TinyGan(turns=4), turns=4, every=1)
    assert ["loss/D/r1" in row for _, row in got] == [False, False, True, False]


def test_a_run_interrupted_between_two_rows_goes_on_to_the_same_row() -> None:
    recorder, complete = RecordingLogger(), rows(TinyGan(turns=10), turns=10, every=4)
    before, after = ScalarMonitor(4), ScalarMonitor(4)
    call_hooks(before, make_trainer_stub(recorder), TinyGan(turns=10), 6, losses)
    after.load_state_dict(before.state_dict())
    call_hooks(after, make_trainer_stub(recorder), TinyGan(turns=10, turn=6), 10, losses)
    assert [without_speed(row) for row in recorder.rows] == [without_speed(row) for row in complete]


def test_restored_sums_come_to_the_device_of_training_whether_or_not_they_are_seen_again() -> None:
    before, after = ScalarMonitor(4), ScalarMonitor(4)
    before.add_scalars(losses(3))  # with a lazy term
    after.load_state_dict(before.state_dict())
    after.on_training_start(make_trainer_stub(), TinyGan(turns=10, turn=3, device="meta"))
    after.add_scalars({name: value.to("meta") for name, value in losses(4).items()})  # without
    assert {name: total.device.type for name, total in after.sums.items()} == dict.fromkeys(losses(3), "meta")


def without_speed(row: tuple[int, dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    return row[0], {name: value for name, value in row[1].items() if not name.startswith(("speed/", "memory/"))}


def test_the_norms_of_the_last_gradients_are_in_the_row() -> None:
    recorder, gan = RecordingLogger(), TinyGan(turns=4, D=nn.Linear(2, 1))

    def descend(gan: TinyGan) -> None:
        gan.G.scale.grad = torch.tensor(-2.0 * gan.turn)
        gan.D.weight.grad, gan.D.bias.grad = torch.full((1, 2), 3.0), torch.full((1,), float(gan.turn))

    call_hooks(ScalarMonitor(2), make_trainer_stub(recorder), gan, 4, losses, between=descend)
    norms = [(row["grad/D"], row["grad/G"]) for _, row in recorder.rows]
    assert norms == [pytest.approx(((18 + t * t) ** 0.5, 2.0 * t)) for t in (2, 4)]


def test_a_net_that_has_not_descended_has_no_norm() -> None:
    assert not any(name.startswith("grad/") for _, row in rows(TinyGan(turns=4), 4, every=2) for name in row)


def test_the_most_memory_so_far_is_in_the_row() -> None:
    got = [row["memory/process_gib"] for _, row in rows(TinyGan(turns=4), 4, every=2)]
    assert 0.05 < got[0] <= got[1] < 50  # torch alone takes more than the former


def test_speed_leaves_out_what_others_do_at_the_same_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(scalars.time, "perf_counter", lambda: now[0])
    recorder, gan, callback = RecordingLogger(), TinyGan(turns=4), ScalarMonitor(2)
    on = make_trainer_stub(recorder)
    callback.on_training_start(on, gan)
    for _ in range(4):
        callback.on_turn_start(on, gan)
        now[0] += 0.5
        gan.turn += 1
        callback.on_turn_end(on, gan, {"losses": losses(gan.turn)})
        now[0] += 60.0 if gan.turn == 2 else 0.0  # an evaluation
    assert [row["speed/images_per_second"] for _, row in recorder.rows] == pytest.approx([128.0, 128.0])


def test_seconds_add_up_over_a_run_and_the_one_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(scalars.time, "perf_counter", lambda: now[0])
    recorder, before, after = RecordingLogger(), ScalarMonitor(2), ScalarMonitor(2)

    def takes_a_second(_: TinyGan) -> None:
        now[0] += 1.0

    call_hooks(before, make_trainer_stub(recorder), TinyGan(turns=6), 3, losses, between=takes_a_second)
    state = before.state_dict()
    now[0] += 1000.0  # until somebody resumes it
    after.load_state_dict(state)
    call_hooks(after, make_trainer_stub(recorder), TinyGan(turns=6, turn=3), 6, losses, between=takes_a_second)
    assert [(step, row["speed/seconds"]) for step, row in recorder.rows] == [(2, 2.0), (4, 4.0), (6, 6.0)]


def test_values_stay_on_the_device_until_they_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    gan = TinyGan(turns=8)
    gan.G.scale.grad = torch.tensor(1.0)
    monkeypatch.setattr(Tensor, "tolist", lambda self: fetched.append(len(self)) or [0.0] * len(self))
    monkeypatch.setattr(Tensor, "item", lambda _: pytest.fail("fetched by itself"))
    rows(gan, turns=8, every=4)
    assert fetched == [4, 4]


def test_the_loggers_are_told_where_the_run_goes_on() -> None:
    recorder = RecordingLogger()
    recorder.rewind_to = lambda turn: recorder.rows.append((turn, {}))
    ScalarMonitor(1).on_training_start(make_trainer_stub(recorder), TinyGan(turn=7))
    assert recorder.rows == [(7, {})]
