import hashlib
import io
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_fidelity import calculate_metrics
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_isc import isc_features_to_metric

from gantry.evaluation.evaluation import Evaluation
from gantry.features.inception import INCEPTION_WEIGHTS_FILE, Inception
from gantry.metrics.frechet import FrechetDistance
from gantry.metrics.inception_score import InceptionScore
from gantry.metrics.kid import KernelDistance
from gantry.metrics.prediction_sums import NUM_SCORE_SPLITS, assign_splits
from photographs import photographs
from toy_extractor import make_reference, score_images


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights for Inception-v3, scaled so that signals neither die nor grow."""
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        patch.setattr(torch, "load", lambda *_, **__: {})
        net = FeatureExtractorInceptionV3("random", ["2048"], "none")
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.normal_(net.fc.weight, std=0.1)
    torch.save(net.state_dict(), path)
    return path


def test_it_is_torch_fidelitys_net_with_the_digest_of_its_weights(weights: Path) -> None:
    x = photographs(3, seed=0)
    ours = Inception(str(weights))
    theirs = FeatureExtractorInceptionV3("theirs", ["2048", "logits_unbiased"], str(weights))
    features, probabilities = ours(x)
    expected, logits = theirs(x)
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(probabilities, logits.softmax(1), rtol=1e-4, atol=1e-7)
    assert ours.digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert ours.name == f"inception-{ours.digest[:8]}"  # and so it is never called FID
    grey = photographs(2, seed=0)[:, :1]
    torch.testing.assert_close(ours(grey).features, ours(grey.repeat(1, 3, 1, 1)).features)


@pytest.mark.slow
def test_the_scores_are_torch_fidelitys(weights: Path) -> None:
    real, fake = photographs(60, seed=0), photographs(60, seed=1)
    theirs = calculate_metrics(
        input1=as_image_set(fake),
        input2=as_image_set(real),
        fid=True,
        kid=True,
        kid_subset_size=60,
        kid_subsets=1,
        samples_shuffle=False,
        feature_extractor_weights_path=str(weights),
        cuda=False,
        verbose=False,
        save_cpu_ram=True,
    )
    (logits,) = FeatureExtractorInceptionV3("theirs", ["logits_unbiased"], str(weights))(fake)
    splits = assign_splits(0, 60)  # torch-fidelity's are runs of equal length
    by_split = [isc_features_to_metric(logits[splits == k], splits=1, shuffle=False) for k in range(NUM_SCORE_SPLITS)]
    their_scores = [float(one["inception_score_mean"]) for one in by_split]
    scores = {"fid": FrechetDistance(), "is": InceptionScore(), "kid": KernelDistance(1, 60)}
    evaluation = Evaluation(scores, 60, None, "min", extractor=Inception, weights=str(weights), batch_size=20)
    ours = score_images(evaluation, fake, evaluation.extract_real(make_reference(real), torch.device("cpu")))
    fid, score, score_std, kid, _ = ours.values()
    assert fid == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert score == pytest.approx(np.mean(their_scores), rel=1e-5)
    assert score_std == pytest.approx(np.std(their_scores), rel=1e-3)
    assert kid == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)


def as_image_set(x: Tensor) -> torch.utils.data.Dataset:
    class Pictures(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, index: int) -> Tensor:
            return x[index]

    return Pictures()


def test_without_network_one_line_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route\nto host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(ValueError, match=r"metrics=inception needs .*metrics\.weights=PATH.*no route") as error:
        Inception()
    assert str(tmp_path / "checkpoints" / INCEPTION_WEIGHTS_FILE) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cached_file_with_another_digest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / INCEPTION_WEIGHTS_FILE).write_bytes(b"half a download")
    with pytest.raises(ValueError, match=r"metrics=inception needs complete weights: delete .*6726825d\.pth"):
        Inception()


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the pickle was run')",)


def test_files_without_weights_are_refused_and_not_executed(tmp_path: Path) -> None:
    tensors = io.BytesIO()
    torch.save({"fc.weight": torch.zeros(1)}, tensors)
    for data in (pickle.dumps(Trap(), protocol=2), b"text", b"", tensors.getvalue()):
        path = tmp_path / "weights.pth"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"metrics\.weights must be those of Inception-v3, got .*weights\.pth"):
            Inception(str(path))
    with pytest.raises(ValueError, match=r"metrics\.weights must be null or a file"):
        Inception(str(tmp_path / "missing.pth"))
