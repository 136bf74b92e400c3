"""Train a GAN: python src/train.py model=dcgan loss=wgan_gp data=mnist"""

from omegaconf import DictConfig

from gantry.commands.entry import command


@command("train")
def main(cfg: DictConfig) -> float | None:
    from gantry.commands.train import train  # torch and Lightning, seconds to import

    return train(cfg)


if __name__ == "__main__":
    main()
