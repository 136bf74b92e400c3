"""Ranks, rendezvous and run names from the variables of torchrun and srun."""

from typing import Any

import pytest
from torch.distributed import TCPStore

from gantry.distributed import environment
from gantry.distributed.environment import (
    PARENT_VARIABLE,
    Ranks,
    agree_on_run_name,
    check_world_size,
    export_srun_variables,
    parse_first_host,
    read_ranks,
    read_slurm_job_name,
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


def export_srun(**more: str) -> dict[str, str]:
    environment = SRUN | more
    export_srun_variables(environment)
    return environment


def test_process_without_variables_is_the_only_one() -> None:
    assert read_ranks({}) == Ranks(0, 0, 1, 1)
    assert read_ranks({"LOCAL_RANK": "0", "WORLD_SIZE": "2"}) == Ranks()  # set by a Gantry parent for its children


def test_ranks_are_read_from_torchrun_srun_and_a_gantry_parent() -> None:
    assert read_ranks(TORCHRUN) == read_ranks(export_srun()) == Ranks(5, 1, 8, 4)
    assert read_ranks(TORCHRUN).num_nodes == 2
    assert read_ranks({PARENT_VARIABLE: "17", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}) == Ranks(1, 1, 2, 2)


def test_rendezvous_address_is_derived_from_srun_variables() -> None:
    environment = export_srun()
    assert (environment["MASTER_ADDR"], environment["MASTER_PORT"]) == ("gpu07", str(15000 + 1234567 % 10000))
    assert export_srun(SLURM_STEP_ID="1")["MASTER_PORT"] != environment["MASTER_PORT"]
    assert export_srun(MASTER_PORT="29500")["MASTER_PORT"] == "29500"


@pytest.mark.parametrize("own", [{"SLURM_STEP_NUM_TASKS": "1"}, TORCHRUN, {PARENT_VARIABLE: "17"}])
def test_srun_variables_are_ignored_for_one_task_and_for_child_processes(own: dict[str, str]) -> None:
    assert export_srun(**own) == SRUN | own


def test_batch_script_without_srun_is_one_process() -> None:
    environment = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    export_srun_variables(environment)
    assert read_ranks(environment) == Ranks()


def test_uneven_tasks_per_node_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many tasks on every node, got 7 tasks on 2 nodes"):
        export_srun(SLURM_STEP_NUM_TASKS="7")


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("gpu[03-05,9],login", "gpu03"), ("a-1,b[2-3]", "a-1"), ("r[1-2]n[3,5]", "r1n3"), ("n7", "n7"), ("n[12]", "n12")],
)
def test_parse_first_host(nodes: str, first: str) -> None:
    assert parse_first_host(nodes) == first


def test_run_name_under_srun_is_the_job_id_and_survives_a_requeue() -> None:
    assert read_slurm_job_name(export_srun()) == "slurm-1234567.0" == agree_on_run_name("now", export_srun())
    array = {"SLURM_ARRAY_JOB_ID": "1234000", "SLURM_ARRAY_TASK_ID": "3"}
    assert read_slurm_job_name(export_srun(**array)) == "slurm-1234000_3.0"
    assert read_slurm_job_name(TORCHRUN | {"SLURM_JOB_ID": "7"}) is None
    assert read_slurm_job_name({"SLURM_JOB_ID": "7"}) is None


def test_run_name_under_torchrun_is_the_first_proposal() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    agent = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    assert [agree_on_run_name(name, TORCHRUN | agent) for name in ("first", "second")] == ["first", "first"]
    assert agree_on_run_name("name", {}) == "name"
    with pytest.raises(ValueError, match=r"^run\.name must be given when neither torchrun nor srun starts"):
        agree_on_run_name("name", {name: value for name, value in TORCHRUN.items() if name != "TORCHELASTIC_RUN_ID"})


@pytest.mark.parametrize(("devices", "nodes"), [(8, 1), (4, 1), (1, 1), (2, 4)])
def test_trainer_must_match_the_launched_processes(devices: int, nodes: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(environment, "is_externally_launched", lambda: True)
    check_world_size(4, 2, Ranks(5, 1, 8, 4))
    with pytest.raises(ValueError, match=rf"^trainer must be ddp_multinode for the 8 .* got one of {devices * nodes}$"):
        check_world_size(devices, nodes, Ranks(5, 1, 8, 4))


def test_several_nodes_need_an_external_launcher(monkeypatch: Any) -> None:
    monkeypatch.setattr(environment, "is_externally_launched", lambda: False)
    check_world_size(8, 1, Ranks())
    with pytest.raises(ValueError, match=r"^trainer\.num_nodes must be 1 unless"):
        check_world_size(8, 2, Ranks())
