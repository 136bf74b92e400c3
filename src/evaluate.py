"""Score a generator or images: python src/evaluate.py run=logs/train/RUN metrics=inception"""

from omegaconf import DictConfig

from gantry.commands.entry import command


@command("evaluate")
def main(cfg: DictConfig) -> dict[str, float]:
    from gantry.commands.evaluate import evaluate

    return evaluate(cfg)


if __name__ == "__main__":
    main()
