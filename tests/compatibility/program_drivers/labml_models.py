"""Models, layers, optimizers and losses of labml's annotated papers, each by itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from parts import learned, part
from torch import nn

Made = Callable[[], tuple[Any, ...]]


def of(path: str) -> Any:
    """A class of labml_nn: `of("lora.Linear")`."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"labml_nn.{module}"), name)


def text() -> torch.Tensor:
    """Positions, a batch, features."""
    return torch.randn(10, 2, 16)


def triple() -> dict[str, torch.Tensor]:
    """What attention takes."""
    x = text()
    return {"query": x, "key": x, "value": x, "mask": causal()}


def causal(n: int = 10) -> torch.Tensor:
    """Which positions each one sees."""
    return torch.ones(n, n).tril().bool()[:, :, None]


def image(channels: int = 3, size: int = 16) -> torch.Tensor:
    """Two images."""
    return torch.randn(2, channels, size, size)


def plain_layer() -> Any:
    """A layer of a transformer."""
    return of("transformers.models.TransformerLayer")(
        d_model=16,
        self_attn=of("transformers.mha.MultiHeadAttention")(4, 16, 0.1),
        feed_forward=feed_forward(),
        dropout_prob=0.1,
    )


def feed_forward(**options: Any) -> Any:
    """The layer of two products."""
    return of("transformers.feed_forward.FeedForward")(16, 32, **options)


def attention(path: str, *given: Any, **options: Any) -> float:
    """Attention by one of its many ways."""
    return learned(of(path)(4, 16, *given, **options), **triple())


def encoder_decoder() -> float:
    """The transformer of the first paper."""
    models = importlib.import_module("labml_nn.transformers.models")
    embed = [models.EmbeddingsWithPositionalEncoding(16, 30) for _ in range(2)]
    heads = [of("transformers.mha.MultiHeadAttention")(4, 16) for _ in range(2)]
    layer = models.TransformerLayer(
        d_model=16,
        self_attn=heads[0],
        src_attn=heads[1],
        feed_forward=feed_forward(),
        dropout_prob=0.1,
    )
    model = models.EncoderDecoder(
        models.Encoder(plain_layer(), 2),
        models.Decoder(layer, 2),
        *embed,
        models.Generator(30, 16),
    )
    tokens = torch.arange(20).reshape(10, 2)
    whole = torch.ones(10, 10, 1).bool()
    return learned_of(model, model(tokens, tokens, whole, causal()))


def learned_of(model: Any, found: Any) -> float:
    """`learned`, where the results are there already."""
    return learned(_Given(model, found))


class _Given(nn.Module):
    def __init__(self, model: Any, found: Any) -> None:
        super().__init__()
        self.model, self.found = model, found

    def forward(self) -> Any:
        return self.found


def relative(name: str, **more: Any) -> Any:
    """A layer with memory."""
    head = of("transformers.xl.relative_mha.RelativeMultiHeadAttention")(4, 16, 0.1)
    return of(name)(
        d_model=16, self_attn=head, feed_forward=feed_forward(), dropout_prob=0.1, **more
    )


def xl() -> float:
    """Transformer XL with memory."""
    model = of("transformers.xl.TransformerXL")(relative("transformers.xl.TransformerXLLayer"), 2)
    found, memory = model(text(), [], causal())
    mask = torch.cat([torch.ones(10, 10, 1).bool(), causal()], dim=1)
    return learned_of(model, model(text(), [m.detach() for m in memory], mask)[0] + found)


def compressive() -> float:
    """The compressive transformer, and the loss of its compression."""
    package = importlib.import_module("labml_nn.transformers.compressive")
    layer = relative(
        "transformers.compressive.CompressiveTransformerLayer",
        compress=package.Conv1dCompression(2, 16),
    )
    model = package.CompressiveTransformer(layer, 2)
    found, memory = model(text(), [], [], causal())
    old = [m.detach() for m in memory[:2]]
    lost = package.AttentionReconstructionLoss(model.layers)(old, old)
    return learned_of(model, [found, lost])


def feedback(name: str) -> float:
    """The feedback transformer."""
    package = importlib.import_module("labml_nn.transformers.feedback")
    kept = name.endswith("KV")
    head = package.FeedbackAttention(4, 16, 0.1, is_kv_precomputed=kept)
    layer = package.FeedbackTransformerLayer(
        d_model=16, attn=head, feed_forward=feed_forward(), dropout_prob=0.1
    )
    model = getattr(package, name)(layer, 2, *((16, 4) if kept else ()))
    return learned(model, text())


def switch() -> float:
    """Experts, of which one is chosen."""
    package = importlib.import_module("labml_nn.transformers.switch")
    experts = package.SwitchFeedForward(
        capacity_factor=1.2,
        drop_tokens=True,
        is_scale_prob=True,
        n_experts=3,
        expert=feed_forward(),
        d_model=16,
    )
    layer = package.SwitchTransformerLayer(
        d_model=16,
        attn=of("transformers.mha.MultiHeadAttention")(4, 16),
        feed_forward=experts,
        dropout_prob=0.1,
    )
    model = package.SwitchTransformer(layer, 2)
    return learned_of(model, model(text(), causal())[0])


def fast_weights(path: str) -> float:
    """Fast weights, with and without tokens one by one."""
    package = importlib.import_module(f"labml_nn.transformers.fast_weights{path}")
    phi = of("transformers.fast_weights.DPFP")()
    head = package.FastWeightsAttention(4, 16, 0.1, phi)
    layer = package.FastWeightsAttentionTransformerLayer(
        d_model=16, attn=head, feed_forward=feed_forward(), dropout_prob=0.1
    )
    return learned(package.FastWeightsAttentionTransformer(layer, 2), text())


def vision() -> float:
    """The vision transformer."""
    package = importlib.import_module("labml_nn.transformers.vit")
    model = package.VisionTransformer(
        plain_layer(),
        2,
        package.PatchEmbeddings(16, 4, 3),
        package.LearnedPositionalEmbeddings(16),
        package.ClassificationHead(16, 32, 10),
    )
    return learned(model, image())


def mixer() -> float:
    """ConvMixer."""
    package = importlib.import_module("labml_nn.conv_mixer")
    model = package.ConvMixer(
        package.ConvMixerLayer(16, 3),
        2,
        package.PatchEmbeddings(16, 4, 3),
        package.ClassificationHead(16, 10),
    )
    return learned(model, image())


def retro() -> float:
    """RETRO, with neighbours."""
    package = importlib.import_module("labml_nn.transformers.retro.model")
    encoder = package.NearestNeighborEncoder(4, 2, {1}, 8, 2, 4, 16)
    model = package.RetroModel(30, 8, 3, {1}, 4, 2, 4, 16, encoder=encoder)
    tokens = torch.randint(0, 30, (2, 12))
    return learned(model, tokens, torch.randint(0, 30, (2, 3, 2, 8)))


def masked_language() -> float:
    """The masking of BERT."""
    masks = of("transformers.mlm.MLM")(
        padding_token=0, mask_token=1, no_mask_tokens=[2], n_tokens=30
    )
    x, y = masks(torch.randint(3, 30, (10, 4)))
    return float(x.sum() * 1000 + y.sum())


def denoising() -> float:
    """A loss of DDPM, and one step back."""
    unet = of("diffusion.ddpm.unet.UNet")(1, 32, (1, 2), (False, True), 1)
    diffusion = of("diffusion.ddpm.DenoiseDiffusion")(unet, 10, torch.device("cpu"))
    lost = diffusion.loss(image(1))
    with torch.no_grad():
        back = diffusion.p_sample(image(1), torch.tensor([3, 5]))
    return learned_of(unet, lost) + float(back.square().mean())


def autoencoder() -> float:
    """The autoencoder of stable diffusion."""
    package = importlib.import_module("labml_nn.diffusion.stable_diffusion.model.autoencoder")
    sizes = {"channels": 32, "channel_multipliers": [1, 2], "n_resnet_blocks": 1, "z_channels": 4}
    encoder = package.Encoder(in_channels=3, **sizes)
    decoder = package.Decoder(out_channels=3, **sizes)
    model = package.Autoencoder(encoder, decoder, 4, 4)
    return learned_of(model, model.decode(model.encode(image()).sample()))


def latent_unet() -> float:
    """The U-Net of stable diffusion."""
    model = of("diffusion.stable_diffusion.model.unet.UNetModel")(
        in_channels=4,
        out_channels=4,
        channels=32,
        n_res_blocks=1,
        attention_levels=[0, 1],
        channel_multipliers=[1, 2],
        n_heads=2,
        tf_layers=1,
        d_cond=16,
    )
    return learned(model, image(4), torch.tensor([3, 9]), torch.randn(2, 5, 16))


def stylegan() -> float:
    """StyleGAN 2: both networks and both penalties."""
    package = importlib.import_module("labml_nn.gan.stylegan")
    mapping, maker = package.MappingNetwork(16, 3), package.Generator(4, 16, 8, 32)
    judge = package.Discriminator(4, 8, 32)
    w = mapping(torch.randn(4, 16))[None].expand(maker.n_blocks, -1, -1)
    noise = [
        (torch.randn(4, 1, 4 << i, 4 << i) if i else None, torch.randn(4, 1, 4 << i, 4 << i))
        for i in range(3)
    ]
    found = maker(w, noise)
    real = torch.randn(4, 3, 16, 16).requires_grad_()
    penalty = package.GradientPenalty()(real, judge(real))
    lengths = package.PathLengthPenalty(0.9)(w, found)
    return learned_of(nn.ModuleList([maker, judge]), [judge(found), penalty, lengths])


def evidence(name: str) -> float:
    """A loss of evidence."""
    given = torch.rand(4, 5).requires_grad_()
    target = nn.functional.one_hot(torch.tensor([0, 3, 2, 4]), 5).float()
    lost = of(f"uncertainty.evidence.{name}")()(given, target)
    lost.backward()
    return float(lost + given.grad.abs().sum())


def ponder() -> float:
    """PonderNet with its losses."""
    package = importlib.import_module("labml_nn.adaptive_computation.ponder_net")
    model = package.ParityPonderGRU(8, 16, 5)
    p, y, _, _ = model(torch.randn(4, 8))
    lost = package.ReconstructionLoss(nn.BCEWithLogitsLoss(reduction="none"))(
        p, y, torch.tensor([0.0, 1, 1, 0])
    )
    return learned_of(model, [lost, package.RegularizationLoss(0.2)(p)])


def sketches() -> float:
    """SketchRNN."""
    package = importlib.import_module("labml_nn.sketch_rnn")
    encoder, decoder = package.EncoderRNN(8, 16), package.DecoderRNN(8, 16, 4)
    strokes = torch.randn(6, 2, 5)
    z, mu, sigma = encoder(strokes)
    inputs = torch.cat([strokes, z[None].expand(6, -1, -1)], 2)
    dist, q, _ = decoder(inputs, z, None)
    lost = package.ReconstructionLoss()(torch.ones(6, 2), strokes, dist, q)
    both = nn.ModuleList([encoder, decoder])
    return learned_of(both, [lost, package.KLDivLoss()(sigma, mu)])


def optimizer(path: str, **options: Any) -> float:
    """Three steps of an optimizer."""
    layer = nn.Linear(6, 3)
    steps = of(f"optimizers.{path}")(layer.parameters(), lr=0.01, **options)
    x = torch.randn(5, 6)
    for _ in range(3):
        steps.zero_grad()
        layer(x).square().mean().backward()
        steps.step()
    return float(layer(x).square().mean() * 100)


def sampler(path: str, *given: Any) -> float:
    """Tokens drawn from logits."""
    drawn = of(f"sampling.{path}")(*given)(torch.randn(6, 20))
    return float(drawn.sum())


def capsules() -> float:
    """Capsules, routed, and their loss."""
    package = importlib.import_module("labml_nn.capsule_networks")
    model = package.Router(8, 4, 6, 5, 3)
    found = model(package.Squash()(torch.randn(2, 8, 6)))
    return learned_of(model, package.MarginLoss(n_labels=4)(found, torch.tensor([1, 3])))


def agents() -> float:
    """Losses of PPO and DQN, and advantages."""
    ppo = importlib.import_module("labml_nn.rl.ppo")
    a, b, c = (torch.randn(8) for _ in range(3))
    found = ppo.ClippedPPOLoss()(a, b, c, 0.2) + ppo.ClippedValueFunctionLoss()(a, b, c, 0.2)
    q = of("rl.dqn.QFuncLoss")(0.9)(
        torch.randn(8, 4),
        torch.arange(8) % 4,
        torch.randn(8, 4),
        torch.randn(8, 4),
        torch.zeros(8),
        a,
        torch.ones(8),
    )
    return float(found) + float(q[1])


def gpt_neox() -> float:
    """A layer of GPT-NeoX."""
    return learned(of("neox.model.TransformerLayer")(32, 4), torch.randn(2, 6, 32))


def fnet() -> float:
    """Mixing by Fourier transforms."""
    x = text()
    return learned(of("transformers.fnet.FNetMix")(), x, x, x)


def graph(path: str) -> float:
    """Attention along the edges of a graph."""
    edges = (torch.rand(7, 7, 1) > 0.5) | torch.eye(7).bool()[:, :, None]
    return learned(of(path)(6, 8, 2), torch.randn(7, 6), edges)


MODELS: dict[str, Made] = {
    "gmlp": lambda: (of("transformers.gmlp.GMLPBlock")(16, 32, 10),),
    "hour_glass": lambda: (of("transformers.hour_glass.HourGlass")(4, 16, 0.1, 32, [2]), text()),
    "rope": lambda: (
        of("transformers.rope.RotaryPositionalEmbeddings")(4),
        torch.randn(5, 2, 3, 8),
    ),
    "squared relu": lambda: (of("transformers.primer_ez.SquaredReLU")(), text()),
    "gated feed forward": lambda: (feed_forward(is_gated=True, activation=nn.Sigmoid()), text()),
    "lora": lambda: (loaded(of("lora.Linear")(16, 8, True, 2)), text()),
    "lora gpt2": lambda: (
        loaded(
            of("lora.gpt2.GPTModel")(
                d_model=16,
                n_heads=4,
                n_layers=2,
                n_positions=20,
                layer_norm_epsilon=1e-5,
                vocab_size=30,
                r=2,
            )
        ),
        torch.arange(20).reshape(2, 10),
    ),
    "resnet": lambda: (of("resnet.ResNetBase")([1, 1], [8, 16], None, 3, 3), image()),
    "resnet bottlenecks": lambda: (
        of("resnet.ResNetBase")([1, 1], [16, 32], [8, 8], 3, 7),
        image(size=32),
    ),
    "unet": lambda: (of("unet.UNet")(1, 1), image(1, 64)),
    "batch norm": lambda: (of("normalization.batch_norm.BatchNorm")(3), image()),
    "layer norm": lambda: (of("normalization.layer_norm.LayerNorm")([16]), text()),
    "instance norm": lambda: (of("normalization.instance_norm.InstanceNorm")(3), image()),
    "group norm": lambda: (of("normalization.group_norm.GroupNorm")(2, 4), image(4)),
    "batch channel norm": lambda: (
        of("normalization.batch_channel_norm.BatchChannelNorm")(4, 2),
        image(4),
    ),
    "weight standardization": lambda: (
        of("normalization.weight_standardization.conv2d.Conv2d")(3, 4, 3),
        image(),
    ),
    "deep norm": lambda: (
        of("normalization.deep_norm.DeepNormTransformerLayer")(
            d_model=16,
            self_attn=of("transformers.mha.MultiHeadAttention")(4, 16),
            feed_forward=feed_forward(),
            deep_norm_alpha=1.2,
            deep_norm_beta=0.7,
        ),
        text(),
    ),
    "lstm": lambda: (of("lstm.LSTM")(16, 8, 2), text()),
    "hyper lstm": lambda: (of("hypernetworks.hyper_lstm.HyperLSTM")(16, 8, 4, 3, 2), text()),
    "highway": lambda: (of("recurrent_highway_networks.RHN")(16, 8, 2, 2), text()),
    "swish": lambda: (of("activations.swish.Swish")(), text()),
    "fta": lambda: (of("activations.fta.FTA")(-1.0, 1.0, 0.5, 0.5), text()),
    "cycle gan generator": lambda: (of("gan.cycle_gan.GeneratorResNet")(3, 1), image(3, 32)),
    "cycle gan discriminator": lambda: (
        of("gan.cycle_gan.Discriminator")((3, 32, 32)),
        image(3, 32),
    ),
    "dcgan generator": lambda: (of("gan.dcgan.Generator")(), torch.randn(2, 100)),
    "dcgan discriminator": lambda: (of("gan.dcgan.Discriminator")(), image(1, 28)),
    "dqn": lambda: (of("rl.dqn.model.Model")(), torch.rand(2, 4, 84, 84)),
    "distillation small": lambda: (of("distillation.small.SmallModel")(), image(3, 32)),
}
OTHERS: dict[str, Callable[[], Any]] = {
    "attention": lambda: attention("transformers.mha.MultiHeadAttention"),
    "relative attention": lambda: attention(
        "transformers.xl.relative_mha.RelativeMultiHeadAttention"
    ),
    "alibi": lambda: attention("transformers.alibi.AlibiMultiHeadAttention"),
    "rope attention": lambda: attention("transformers.rope.RotaryPEMultiHeadAttention"),
    "rope of values": lambda: attention(
        "transformers.rope.value_pe.RotaryValuePEMultiHeadAttention"
    ),
    "primer": lambda: attention("transformers.primer_ez.MultiDConvHeadAttention"),
    "primer, variations": lambda: attention(
        "transformers.primer_ez.variations.MultiDSharedConvHeadAttention"
    ),
    "fnet": fnet,
    "aft": lambda: learned(
        of("transformers.aft.AFTLocal")(16, 10, 4), **(triple() | {"mask": causal()})
    ),
    "encoder and decoder": encoder_decoder,
    "transformer xl": xl,
    "compressive": compressive,
    "feedback": lambda: feedback("FeedbackTransformer"),
    "feedback with keys": lambda: feedback("FeedbackTransformerKV"),
    "switch": switch,
    "fast weights": lambda: fast_weights(""),
    "fast weights, token wise": lambda: fast_weights(".token_wise"),
    "vit": vision,
    "conv mixer": mixer,
    "retro": retro,
    "mlm": masked_language,
    "ddpm": denoising,
    "stable diffusion, autoencoder": autoencoder,
    "stable diffusion, unet": latent_unet,
    "stylegan": stylegan,
    "ponder net": ponder,
    "sketch rnn": sketches,
    "capsules": capsules,
    "ppo and dqn": agents,
    "gpt neox": gpt_neox,
    "gat": lambda: graph("graphs.gat.GraphAttentionLayer"),
    "gatv2": lambda: graph("graphs.gatv2.GraphAttentionV2Layer"),
}
for _name in (
    "MaximumLikelihoodLoss",
    "CrossEntropyBayesRisk",
    "SquaredErrorBayesRisk",
    "KLDivergenceLoss",
):
    OTHERS[f"evidence: {_name}"] = lambda n=_name: evidence(n)
for _path in (
    "adam.Adam",
    "amsgrad.AMSGrad",
    "radam.RAdam",
    "adam_warmup.AdamWarmup",
    "noam.Noam",
    "ada_belief.AdaBelief",
    "sophia.Sophia",
    "adam_warmup_cosine_decay.AdamWarmupCosineDecay",
):
    _warm = {"warmup": 2} if "warmup" in _path or "noam" in _path else {}
    OTHERS[f"optimizer {_path}"] = lambda p=_path, w=_warm: optimizer(p, **w)
OTHERS |= {
    "greedy": lambda: sampler("greedy.GreedySampler"),
    "temperature": lambda: sampler("temperature.TemperatureSampler", 0.7),
    "top k": lambda: sampler(
        "top_k.TopKSampler", 3, of("sampling.temperature.TemperatureSampler")()
    ),
    "nucleus": lambda: sampler(
        "nucleus.NucleusSampler", 0.8, of("sampling.temperature.TemperatureSampler")()
    ),
}


def loaded(model: Any) -> Any:
    """A model with weights for those that it leaves for a checkpoint to fill."""
    for p in model.parameters():
        if not p.requires_grad:
            nn.init.normal_(p, std=0.3)
    return model


def model_of(made: Made) -> float:
    """A model and what it takes."""
    model, *inputs = made()
    return learned(model, *inputs) if inputs else learned(model, x=text())


for _name, _made in MODELS.items():
    part(_name, lambda made=_made: model_of(made))
for _name, _run in OTHERS.items():
    part(_name, _run)
