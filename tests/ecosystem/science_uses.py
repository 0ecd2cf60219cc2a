"""Libraries of graphs, probability, images and explanations; see `uses.py`."""

from __future__ import annotations

import math

import numpy as np
import torch


def captum() -> None:
    """Attributions: where they must add up, they do; occlusion is a difference of outputs."""
    from captum.attr import (
        DeepLift,
        FeatureAblation,
        IntegratedGradients,
        LayerConductance,
        LayerGradCam,
        Occlusion,
        Saliency,
    )

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 3)
    )
    x = torch.randn(2, 1, 8, 8)
    change = (model(x) - model(torch.zeros_like(x)))[:, 1]
    for method in (IntegratedGradients(model), DeepLift(model)):
        shares = method.attribute(x, target=1)
        assert torch.allclose(shares.sum((1, 2, 3)), change, atol=1e-2), method
    inner = LayerConductance(model, model[1]).attribute(x, target=1)
    assert torch.allclose(inner.sum((1, 2, 3)), change, atol=1e-2)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
    assert torch.allclose(Saliency(model).attribute(x, target=1), slope.abs())
    without = x.detach().clone()
    without[:, :, 2, 3] = 0
    ablated = FeatureAblation(model).attribute(x.detach(), target=1)[:, 0, 2, 3]
    assert torch.allclose(ablated, (model(x) - model(without))[:, 1], atol=1e-5)
    occluded = Occlusion(model).attribute(x.detach(), (1, 8, 8), target=1)
    assert torch.allclose(occluded[:, 0, 0, 0], change, atol=1e-5)
    assert LayerGradCam(model, model[0]).attribute(x, target=1).shape == (2, 1, 6, 6)


def torch_geometric() -> None:
    """Graph convolutions against dense matrices, and a classifier of nodes."""
    from torch_geometric.data import Data
    from torch_geometric.loader import DataLoader
    from torch_geometric.nn import GATConv, GCNConv, SAGEConv, global_mean_pool
    from torch_geometric.utils import to_dense_adj

    torch.manual_seed(0)
    edges = torch.tensor([[0, 1, 1, 2, 2, 3, 0, 3], [1, 0, 2, 1, 3, 2, 3, 0]])
    x = torch.randn(4, 5)
    near = to_dense_adj(edges)[0]
    layer = GCNConv(5, 3)
    both = near + torch.eye(4)
    scale = both.sum(1).rsqrt()
    wanted = (scale[:, None] * both * scale) @ x @ layer.lin.weight.T + layer.bias
    assert torch.allclose(layer(x, edges), wanted, atol=1e-5)
    sage = SAGEConv(5, 3)
    mean = near @ x / near.sum(1, keepdim=True)
    wanted = mean @ sage.lin_l.weight.T + sage.lin_l.bias + x @ sage.lin_r.weight.T
    assert torch.allclose(sage(x, edges), wanted, atol=1e-5)
    found, (_, shares) = GATConv(5, 3, heads=2)(x, edges, return_attention_weights=True)
    assert found.shape == (4, 6) and torch.isclose(shares.sum(), torch.tensor(8.0))

    graphs = [Data(x=torch.randn(4, 5), edge_index=edges, y=torch.tensor([i])) for i in range(6)]
    for batch in DataLoader(graphs, batch_size=3):
        assert global_mean_pool(batch.x, batch.batch).shape == (3, 5)
        assert batch.edge_index.max() == 11
    labels = torch.tensor([0, 0, 1, 1])
    optimizer = torch.optim.Adam(layer.parameters(), 0.1)
    for _ in range(50):
        loss = torch.nn.functional.cross_entropy(layer(x, edges), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def gpytorch() -> None:
    """A Gaussian process: its likelihood and mean against NumPy's, after some steps."""
    import gpytorch as library

    x = torch.linspace(0, 1, 20)
    y = torch.sin(6 * x)

    class Model(library.models.ExactGP):
        def __init__(self) -> None:
            super().__init__(x, y, library.likelihoods.GaussianLikelihood())
            self.mean = library.means.ConstantMean()
            self.kernel = library.kernels.ScaleKernel(library.kernels.RBFKernel())

        def forward(self, x):
            return library.distributions.MultivariateNormal(self.mean(x), self.kernel(x))

    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    likelihood = library.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    model.train()
    for _ in range(20):
        optimizer.zero_grad()
        loss = -likelihood(model(x), y)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        width = model.kernel.base_kernel.lengthscale.item()
        height, noise = model.kernel.outputscale.item(), model.likelihood.noise.item()
        centre = model.mean.constant.item()
        a, b = x.numpy().astype("float64"), y.numpy().astype("float64") - centre
        kernel = height * np.exp(-((a[:, None] - a) ** 2) / (2 * width**2))
        noisy = kernel + noise * np.eye(20)
        wanted = centre + kernel @ np.linalg.solve(noisy, b)
        np.testing.assert_allclose(model(x).mean.numpy(), wanted, atol=1e-3)
        sign, size = np.linalg.slogdet(noisy)
        total = -0.5 * (b @ np.linalg.solve(noisy, b) + sign * size + 20 * math.log(2 * math.pi))
        model.train()
        assert abs(likelihood(model(x), y).item() - total / 20) < 1e-3


def pyro() -> None:
    """Variational inference and a Markov chain against the posterior in closed form."""
    import pyro as library
    import pyro.distributions as dist
    from pyro.infer import MCMC, NUTS, SVI, Trace_ELBO
    from pyro.infer.autoguide import AutoNormal

    library.set_rng_seed(0)
    data = torch.randn(50) + 3

    def model(data):
        mean = library.sample("mean", dist.Normal(0.0, 10.0))
        with library.plate("points", len(data)):
            library.sample("x", dist.Normal(mean, 1.0), obs=data)

    wanted = data.sum().item() / (50 + 1 / 100)
    guide = AutoNormal(model)
    inference = SVI(model, guide, library.optim.Adam({"lr": 0.05}), Trace_ELBO())
    for _ in range(300):
        inference.step(data)
    assert abs(guide.median()["mean"].item() - wanted) < 0.15
    chain = MCMC(NUTS(model), num_samples=60, warmup_steps=40, disable_progbar=True)
    chain.run(data)
    draws = chain.get_samples()["mean"]
    assert abs(draws.mean().item() - wanted) < 0.15 and 0.05 < draws.std().item() < 0.3


def torchdiffeq() -> None:
    """Solutions of y' = -y, and gradients by the adjoint equation."""
    from torchdiffeq import odeint, odeint_adjoint

    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for method in ("dopri5", "dopri8", "adaptive_heun"):
        y = odeint(lambda t, y: -y, torch.ones(1, dtype=torch.float64), times, method=method)
        assert abs(y[-1].item() - math.exp(-1)) < 1e-5, method

    class Field(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rate = torch.nn.Parameter(torch.tensor(-0.5, dtype=torch.float64))

        def forward(self, t, y):
            return self.rate * y

    field = Field()
    odeint_adjoint(field, torch.ones(1, dtype=torch.float64), times)[-1].sum().backward()
    assert abs(field.rate.grad.item() - math.exp(-0.5)) < 1e-5


def pytorch_metric_learning() -> None:
    """A loss of pairs against its formula, and others with gradients."""
    from pytorch_metric_learning import losses, miners

    torch.manual_seed(0)
    places, labels = torch.randn(16, 8, requires_grad=True), torch.arange(16) % 4
    unit = torch.nn.functional.normalize(places, dim=1)
    apart = torch.cdist(unit, unit)
    same = (labels[:, None] == labels) & ~torch.eye(16, dtype=torch.bool)
    close = torch.relu(1 - apart[labels[:, None] != labels])
    wanted = apart[same][apart[same] > 0].mean() + close[close > 0].mean()
    assert torch.isclose(losses.ContrastiveLoss()(places, labels), wanted, atol=1e-4)
    for name in ("TripletMarginLoss", "NTXentLoss", "MultiSimilarityLoss", "CircleLoss"):
        (slope,) = torch.autograd.grad(getattr(losses, name)()(places, labels), places)
        assert slope.isfinite().all() and slope.abs().sum() > 0
    assert len(miners.MultiSimilarityMiner()(places, labels)) == 4


def segmentation_models_pytorch() -> None:
    """Decoders over encoders, and the loss of overlaps against its formula."""
    import segmentation_models_pytorch as library

    torch.manual_seed(0)
    for name in ("Unet", "FPN", "DeepLabV3Plus", "Linknet", "PSPNet", "MAnet", "UnetPlusPlus"):
        model = getattr(library, name)("resnet18", encoder_weights=None, classes=2).eval()
        with torch.no_grad():
            assert model(torch.randn(1, 3, 64, 64)).shape == (1, 2, 64, 64), name
    scores, wanted = torch.randn(2, 1, 8, 8), torch.randint(0, 2, (2, 1, 8, 8))
    chances = scores.sigmoid()
    overlap = 2 * (chances * wanted).sum() / (chances.sum() + wanted.sum())
    assert torch.isclose(library.losses.DiceLoss("binary")(scores, wanted), 1 - overlap, atol=1e-4)


def monai() -> None:
    """A network of volumes, its window over a larger one, and transforms."""
    from monai.inferers import sliding_window_inference
    from monai.losses import DiceLoss
    from monai.networks.nets import UNet
    from monai.transforms import Compose, Flip, Resize, ScaleIntensity

    torch.manual_seed(0)
    model = UNet(3, in_channels=1, out_channels=2, channels=(4, 8), strides=(2,)).eval()
    volume = torch.randn(1, 1, 16, 16, 16)
    found = model(volume)
    DiceLoss(softmax=True, to_onehot_y=True)(found, torch.ones(1, 1, 16, 16, 16)).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    with torch.no_grad():
        whole = sliding_window_inference(volume, (16, 16, 16), 1, model)
    assert torch.allclose(whole, found, atol=1e-5)
    steps = Compose([ScaleIntensity(), Flip(1), Resize((8, 8))])
    image = steps(torch.arange(256.0).view(1, 16, 16))
    assert image.shape == (1, 8, 8) and image.max() <= 1 and image[0, 0, 0] < image[0, 0, -1] + 1


def kornia() -> None:
    """Filters, colours and geometry of images, against their formulas."""
    import kornia as library

    torch.manual_seed(0)
    image = torch.rand(1, 3, 16, 16)
    taps = torch.tensor([math.exp(-0.5), 1.0, math.exp(-0.5)])
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    wide = torch.nn.functional.pad(image, (1, 1, 1, 1), mode="reflect")
    wanted = torch.nn.functional.conv2d(wide, kernel.expand(3, 1, 3, 3), groups=3)
    assert torch.allclose(library.filters.gaussian_blur2d(image, (3, 3), (1.0, 1.0)), wanted)
    again = library.color.hsv_to_rgb(library.color.rgb_to_hsv(image))
    assert torch.allclose(again, image, atol=1e-5)
    turned = library.geometry.rotate(image, torch.tensor([90.0]))
    assert torch.allclose(turned, image.rot90(1, (2, 3)), atol=1e-4)
    assert torch.equal(library.augmentation.RandomHorizontalFlip(p=1.0)(image), image.flip(3))


def open_clip() -> None:
    """A small CLIP with its own tokenizer."""
    import open_clip as library

    torch.manual_seed(0)
    images = {"layers": 2, "width": 32, "patch_size": 8, "image_size": 32, "head_width": 8}
    texts = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2}
    model = library.model.CLIP(embed_dim=16, vision_cfg=images, text_cfg=texts).eval()
    words = library.get_tokenizer("ViT-B-32")(["a cat", "a dog"])
    assert words[0, :4].tolist() == [49406, 320, 2368, 49407]
    with torch.no_grad():
        picture, told, _ = model(torch.randn(2, 3, 32, 32), words)
    assert torch.allclose(picture.norm(dim=1), torch.ones(2)) and told.shape == (2, 16)


def x_transformers() -> None:
    """A decoder with rotary places: its loss, and greedy generation."""
    from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper

    torch.manual_seed(0)
    layers = Decoder(dim=32, depth=2, heads=4, rotary_pos_emb=True)
    model = AutoregressiveWrapper(
        TransformerWrapper(num_tokens=50, max_seq_len=32, attn_layers=layers)
    )
    words = torch.randint(0, 50, (2, 16))
    loss = model(words)
    loss.backward()
    chances = model.net(words[:, :-1]).log_softmax(-1)
    wanted = -chances.gather(-1, words[:, 1:, None]).mean()
    assert torch.isclose(loss, wanted, atol=1e-5)
    model.eval()
    told = model.generate(words[:, :4], 6, temperature=0.0)
    with torch.no_grad():
        place = torch.cat([words[:, :4], told[:, :5]], 1)
        assert torch.equal(model.net(place)[:, -1].argmax(-1), told[:, 5])


USES = (
    captum,
    torch_geometric,
    gpytorch,
    pyro,
    torchdiffeq,
    pytorch_metric_learning,
    segmentation_models_pytorch,
    monai,
    kornia,
    open_clip,
    x_transformers,
)
