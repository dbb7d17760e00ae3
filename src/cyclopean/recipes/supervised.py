"""The directly supervised twin of the self-supervised methods."""

from typing import Literal

from cyclopean.training.options import Augment, Run, Source

AUGMENT = Augment(jitter=0.8, blur=0.2, noise=0.3, smallest=0.6, stretch=1.2)


def supervised(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    network: Literal["vgg", "compact", "mobile"] = "vgg",
    width: float = 1.0,
    schedule: Literal["halving", "tenth", "cosine"] = "cosine",
) -> None:
    """Learns inverse depth up to scale from true depth.

    Args:
        network: Monodepth's VGG (31.6 M parameters at width 1), or a lighter one.
        width: multiplies the network's channels.
        schedule: of the learning rate: halved at 3/5 and 4/5 of the steps, a tenth from 3/4, or a half cosine
            after a short rise.
    """
    import torch

    from cyclopean import augmentation
    from cyclopean.methods.supervised import Supervised
    from cyclopean.training import dataset
    from cyclopean.training.loop import adamw, cosine, fit, halving, tenth

    feed = dataset.train_data(source, augment, run, augmentation.mirrored, dataset.target_only)
    feed = dataset.with_truth(feed)
    run = run.of(len(feed.training))  # type: ignore[arg-type]
    torch.manual_seed(run.seed)
    method = Supervised(network, width)
    course = {"halving": halving, "tenth": tenth, "cosine": cosine}[schedule]
    card = dataset.card("supervised", run, source, feed)
    fit(method, feed, run, adamw, course, card=card, pictures=dataset.pictures)
