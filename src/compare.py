"""Compare runs: python src/compare.py runs=[logs/train/RUN,logs/train/sweeps/NAME]"""

from omegaconf import DictConfig

from gantry.commands.entry import command


@command("compare")
def main(cfg: DictConfig) -> None:
    from gantry.commands.compare import compare  # numpy and scipy

    compare(cfg)


if __name__ == "__main__":
    main()
