"""The bundled panorama model: trinocular spherical view synthesis with a network that may start from a detector."""

from cyclopean.recipes.settings import Augment, Source
from cyclopean.run import Run

AUGMENT = Augment(flip=0.5, jitter=0.7, blur=0.2, noise=0.3)


def panorama(run: Run, source: Source, augment: Augment = AUGMENT, ratio: float = 0.6) -> None:
    """Learns metric depth of panoramas from the views above and beside, without labels, to be used on any panorama.

    Args:
        ratio: how much of it comes from the view above.
    """
    import torch

    from cyclopean import augmentation, training
    from cyclopean.methods.coordnet import Coordnet
    from cyclopean.recipes import feeding

    drawn = feeding.Drawn(augmentation.mirrored, feeding.whole, "sphere")
    feed = feeding.then(feeding.feed(source, augment, drawn, run), augmentation.rolled)
    run = run.of(len(feed.training))  # type: ignore[arg-type]
    torch.manual_seed(run.seed)
    method = Coordnet("TC", ratio, circular=True, network="mobile")
    card = feeding.card("panorama", run, source, feed)
    training.fit(method, feed, run, training.adamw, training.cosine, card, feeding.pictures)
