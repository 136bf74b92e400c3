"""Names of the files and folders that a run and a sweep leave. They are spelled here and nowhere else."""

from pathlib import Path

# The folder of a run
CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.csv"
SUMMARY_FILE = "summary.json"
JOB_FILE = "job.json"
LOG_FILE = "train.log"
LOCK_FILE = ".lock"
RUN_FILES = (CONFIG_FILE, METRICS_FILE, SUMMARY_FILE, LOG_FILE, JOB_FILE)  # a folder with any of them is a run's
HEARTBEAT_FILES = (METRICS_FILE, LOG_FILE, SUMMARY_FILE, CONFIG_FILE)  # a run that is alive writes to one of them

CHECKPOINTS_FOLDER = "checkpoints"
LAST_CHECKPOINT, PREVIOUS_CHECKPOINT, BEST_CHECKPOINT = "last.ckpt", "before.ckpt", "best.ckpt"

GENERATORS_FOLDER = "generator"
GENERATOR_JSON, GENERATOR_WEIGHTS = "generator.json", "model.safetensors"

SAMPLES_FOLDER, ANIMATION_FILE = "samples", "samples.webp"
PLOTS_FOLDER, CURVES_FILE, NEIGHBOURS_FILE = "plots", "curves.png", "neighbours.png"
GENERATED_FOLDER = "generated"  # output of the sample command
WANDB_FOLDER, MLFLOW_FOLDER, TENSORBOARD_FOLDER = "wandb", "mlflow", "tensorboard"
LOGGER_ID_FILE = "run_id.txt"  # in the folder of a logger: under which id a resumed run continues there

# The folder of an evaluation
SCORES_FILE = "scores.json"

# The folder of a sweep, beside one folder for each job
TABLE_CSV, TABLE_MARKDOWN = "table.csv", "table.md"
SEEDS_JSON, SEEDS_MARKDOWN = "seeds.json", "seeds.md"
PARALLEL_FILE = "parallel.png"
MULTIRUN_FILE = "multirun.yaml"
STUDY_FILE, JOURNAL_FILE = "study.json", "study.journal"


def checkpoint_path(run: Path, name: str) -> Path:
    """Return the path of a checkpoint of a run."""
    return run / CHECKPOINTS_FOLDER / name


def generator_folder(run: Path, which: str) -> Path:
    """Return the folder of the best or the last generator of a run."""
    return run / GENERATORS_FOLDER / which


def split_run_path(path: Path) -> tuple[Path, str | None]:
    """Return the run that a path stands for, and which of its checkpoints or generators, if the path is of one.

    RUN/checkpoints/last.ckpt and RUN/generator/last -> (RUN, "last"); RUN and RUN/config.yaml -> (RUN, None).
    """
    run = path.parent.parent
    if (path / CONFIG_FILE).is_file() or not path.exists():
        return path, None
    if path.parent.name in (CHECKPOINTS_FOLDER, GENERATORS_FOLDER) and (run / CONFIG_FILE).is_file():
        return run, path.stem
    is_within = path.is_file() or path.name in (CHECKPOINTS_FOLDER, GENERATORS_FOLDER)
    return (path.parent, None) if is_within and (path.parent / CONFIG_FILE).is_file() else (path, None)


def sample_image_name(turn: int) -> str:
    """Return the name of the picture of a turn: `000100.png`."""
    return f"{turn:06d}.png"


def list_sample_images(folder: Path) -> dict[int, Path]:
    """Return the pictures in a folder of samples by turn, in ascending order."""
    return dict(sorted((int(path.stem), path) for path in folder.glob("*.png") if path.stem.isdigit()))
