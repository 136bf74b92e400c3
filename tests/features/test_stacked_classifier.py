import torch

from gantry.features.small_classifier import StackedClassifier, load_small_net


def test_a_class_is_the_three_channels_classes() -> None:
    x = torch.randint(0, 256, (9, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    net, stacked = load_small_net("digits"), StackedClassifier("digits")
    features, probabilities = stacked(x)
    assert probabilities is not None
    channels = [net(x[:, [channel]]) for channel in range(3)]
    digits = torch.stack([seen.probabilities.argmax(1) for seen in channels])
    assert torch.equal(probabilities.argmax(1), digits.T @ torch.tensor([100, 10, 1]))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(9))
    torch.testing.assert_close(features, torch.cat([seen.features for seen in channels], 1))
    assert features.shape == (9, stacked.dim)
    assert probabilities.shape == (9, stacked.num_classes)
