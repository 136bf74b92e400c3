"""A W&B workspace for the runs of a group: python src/workspace.py entity=TEAM group=SWEEP"""

from omegaconf import DictConfig

from gantry.commands.entry import command


@command("workspace")
def main(cfg: DictConfig) -> None:
    from gantry.commands.workspace import save_workspace

    print(save_workspace(cfg))


if __name__ == "__main__":
    main()
