"""Score a generator or images: python src/evaluate.py run=logs/train/RUN metrics=inception"""

from omegaconf import DictConfig

from gantry.runs.entry import entry


@entry("evaluate")
def main(cfg: DictConfig) -> dict[str, float]:
    from gantry.runs.scoring import evaluate

    return evaluate(cfg)


if __name__ == "__main__":
    main()
