"""Sample from a trained generator: python src/sample.py run=logs/train/RUN what=grid n=64"""

from omegaconf import DictConfig

from gantry.commands.entry import command


@command("sample")
def main(cfg: DictConfig) -> None:
    from gantry.commands.sample import write_samples

    print(write_samples(cfg))


if __name__ == "__main__":
    main()
