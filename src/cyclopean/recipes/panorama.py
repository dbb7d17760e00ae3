"""The bundled panorama model: trinocular spherical view synthesis with a network that may start from a detector."""

from cyclopean.training.options import Augment, Run, Source

AUGMENT = Augment(flip=0.5, jitter=0.7, blur=0.2, noise=0.3)


def panorama(run: Run, source: Source, augment: Augment = AUGMENT, ratio: float = 0.6) -> None:
    """Learns metric depth of panoramas from the views above and beside, without labels, to be used on any panorama.

    Args:
        ratio: how much of it comes from the view above.
    """
    import torch

    from cyclopean import augmentation
    from cyclopean.methods.coordnet import Coordnet
    from cyclopean.training import dataset
    from cyclopean.training.loop import adamw, cosine, fit

    feed = dataset.train_data(source, augment, run, augmentation.mirrored, worlds="sphere")
    feed = dataset.then(feed, augmentation.rolled)
    run = run.of(len(feed.training))  # type: ignore[arg-type]
    torch.manual_seed(run.seed)
    method = Coordnet("TC", ratio, circular=True, network="mobile")
    card = dataset.card("panorama", run, source, feed)
    fit(method, feed, run, adamw, cosine, card=card, pictures=dataset.pictures)
