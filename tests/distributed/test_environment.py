"""What torchrun and srun say of a process, and what a process makes of it."""

from typing import Any

import pytest
from torch.distributed import TCPStore

from gantry.distributed import environment
from gantry.distributed.environment import (
    PARENT,
    Place,
    adopt_srun,
    agreed,
    check_trainer,
    first_host,
    lasting_name,
    place,
)

TORCHRUN = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "none"}
SRUN = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}


def adopted(**more: str) -> dict[str, str]:
    environment = SRUN | more
    adopt_srun(environment)
    return environment


def test_a_process_on_its_own() -> None:
    assert place({}) == Place(0, 0, 1, 1)
    assert place({"LOCAL_RANK": "0", "WORLD_SIZE": "2"}) == Place()  # a parent of further ranks, while they run


def test_torchrun_srun_and_a_parent_of_ours() -> None:
    assert place(TORCHRUN) == place(adopted()) == Place(5, 1, 8, 4)
    assert place(TORCHRUN).nodes == 2
    assert place({PARENT: "17", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}) == Place(1, 1, 2, 2)


def test_srun_says_where_the_first_process_is() -> None:
    environment = adopted()
    assert (environment["MASTER_ADDR"], environment["MASTER_PORT"]) == ("gpu07", str(15000 + 1234567 % 10000))
    assert adopted(SLURM_STEP_ID="1")["MASTER_PORT"] != environment["MASTER_PORT"]
    assert adopted(MASTER_PORT="29500")["MASTER_PORT"] == "29500"


@pytest.mark.parametrize("own", [{"SLURM_STEP_NUM_TASKS": "1"}, TORCHRUN, {PARENT: "17"}])
def test_one_task_and_what_a_task_has_started_are_no_ranks_of_srun(own: dict[str, str]) -> None:
    assert adopted(**own) == SRUN | own


def test_a_batch_script_without_srun_is_one_process() -> None:
    environment = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    adopt_srun(environment)
    assert place(environment) == Place()


def test_uneven_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many tasks on every node, got 7 tasks on 2 nodes"):
        adopted(SLURM_STEP_NUM_TASKS="7")


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("gpu[03-05,9],login", "gpu03"), ("a-1,b[2-3]", "a-1"), ("r[1-2]n[3,5]", "r1n3"), ("n7", "n7"), ("n[12]", "n12")],
)
def test_first_host(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


def test_the_name_under_srun_is_that_of_the_job_and_outlasts_a_requeue() -> None:
    assert lasting_name(adopted()) == "slurm-1234567.0" == agreed("now", adopted())
    array = {"SLURM_ARRAY_JOB_ID": "1234000", "SLURM_ARRAY_TASK_ID": "3"}
    assert lasting_name(adopted(**array)) == "slurm-1234000_3.0"
    assert lasting_name(TORCHRUN | {"SLURM_JOB_ID": "7"}) is None
    assert lasting_name({"SLURM_JOB_ID": "7"}) is None


def test_the_name_under_torchrun_is_that_of_the_first_process_that_asks() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    agent = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    assert [agreed(mine, TORCHRUN | agent) for mine in ("first", "second")] == ["first", "first"]
    assert agreed("mine", {}) == "mine"
    with pytest.raises(ValueError, match=r"^run\.name must be given when neither torchrun nor srun starts"):
        agreed("mine", {name: value for name, value in TORCHRUN.items() if name != "TORCHELASTIC_RUN_ID"})


@pytest.mark.parametrize(("devices", "nodes"), [(8, 1), (4, 1), (1, 1), (2, 4)])
def test_a_trainer_of_another_shape(devices: int, nodes: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(environment, "started", lambda: True)
    check_trainer(4, 2, Place(5, 1, 8, 4))
    with pytest.raises(ValueError, match=rf"^trainer must be ddp_multinode for the 8 .* got one of {devices * nodes}$"):
        check_trainer(devices, nodes, Place(5, 1, 8, 4))


def test_several_nodes_are_not_started_from_one(monkeypatch: Any) -> None:
    monkeypatch.setattr(environment, "started", lambda: False)
    check_trainer(8, 1, Place())
    with pytest.raises(ValueError, match=r"^trainer\.num_nodes must be 1 unless"):
        check_trainer(8, 2, Place())
