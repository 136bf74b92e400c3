"""The few functions that the configuration may call: `${share:${turns},50}`."""

from typing import Any

from omegaconf import DictConfig, OmegaConf


def share(turns: int, parts: int) -> int:
    """One part of so many of the budget, at least one turn."""
    return max(1, turns // parts)


def times(a: float, b: float) -> float:
    """The product."""
    return a * b


def when(condition: bool, value: Any, otherwise: Any) -> Any:
    """One value or the other."""
    return value if condition else otherwise


def critic_norm(norm: str, *, _root_: DictConfig) -> str:
    """The norm of a critic that wants `norm`: `none` instead of `batch` where logits must not depend on the batch.

    A penalty differentiates the logit of one image by that image. With BatchNorm the logit depends on all images of
    the batch, and the penalty is of something else (Gulrajani et al. 2017, section 4, "No critic batch normalization").
    """
    penalised = bool(OmegaConf.select(_root_, "loss.d_terms", default={}))
    allowed = OmegaConf.select(_root_, "recipe.critic_batch_norm", default=True)
    return "none" if norm == "batch" and (penalised or not allowed) else norm


def register() -> None:
    """Make the resolvers known to OmegaConf; harmless when repeated."""
    for resolver in (share, times, when, critic_norm):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
