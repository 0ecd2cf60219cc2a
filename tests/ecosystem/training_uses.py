"""Libraries that train and adapt models; see `uses.py`. The pinned numbers are PyTorch 2.13's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch


def samples(count: int = 64) -> torch.utils.data.TensorDataset:
    """Points of two classes that a plane separates."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(count, 4)).astype("float32"))
    return torch.utils.data.TensorDataset(x, (x.sum(1) > 0).long())


def near(found: float, wanted: float, tolerance: float = 1e-4) -> None:
    """Fail unless a number is PyTorch's, but for its last digits."""
    assert abs(found - wanted) <= tolerance * abs(wanted), (found, wanted)


def accelerate() -> None:
    """Steps over accumulated gradients, with clipping and a schedule."""
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    set_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    loader = torch.utils.data.DataLoader(samples(), batch_size=8, shuffle=True)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    losses = []
    for x, y in loader:
        with accelerator.accumulate(model):
            loss = torch.nn.functional.cross_entropy(model(x), y)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    near(sum(losses), SUM_OF_ACCELERATE)
    assert accelerator.gather(torch.ones(1)).tolist() == [1.0] and accelerator.num_processes == 1


def peft() -> None:
    """LoRA: only the adapters train; merged into the weights they compute the same."""
    import transformers as hf
    from peft import LoraConfig, PeftModel, get_peft_model

    def base() -> hf.GPT2LMHeadModel:
        torch.manual_seed(0)
        sizes = {"n_layer": 2, "n_head": 2, "n_embd": 32, "vocab_size": 100}
        drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        return hf.GPT2LMHeadModel(hf.GPT2Config(**sizes, **drops))

    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM"
    )
    model, words = get_peft_model(base(), config), torch.arange(40).view(4, 10)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-2)
    for _ in range(5):
        loss = model(words, labels=words).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    near(loss.item(), LOSS_OF_PEFT)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) != ("lora_" in name), name
    wanted = model.eval()(words).logits
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        again = PeftModel.from_pretrained(base(), folder).eval()
        assert torch.equal(again(words).logits, wanted)
    merged = model.merge_and_unload()
    assert not any("lora_" in name for name, _ in merged.named_parameters())
    assert torch.allclose(merged(words).logits, wanted, atol=1e-5)


def diffusers() -> None:
    """The parts of image generators, and schedulers step for step."""
    import diffusers as library

    torch.manual_seed(0)
    blocks = {"layers_per_block": 1, "block_out_channels": (16, 32), "norm_num_groups": 8}
    unet = library.UNet2DModel(
        sample_size=16,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        **blocks,
    )
    conditioned = library.UNet2DConditionModel(
        sample_size=8,
        cross_attention_dim=12,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **blocks,
    )
    coder = library.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        norm_num_groups=4,
    )
    with torch.no_grad():
        x = torch.randn(2, 3, 16, 16)
        found = [unet(x, torch.tensor([3, 7])).sample]
        found.append(conditioned(torch.randn(2, 4, 8, 8), 5, torch.randn(2, 6, 12)).sample)
        found.append(coder.decode(coder.encode(x).latent_dist.sample()).sample)
        for name in SCHEDULERS:
            torch.manual_seed(0)
            scheduler = getattr(library, name)()
            scheduler.set_timesteps(5)
            y = torch.randn(1, 3, 16, 16) * scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                guess = unet(scheduler.scale_model_input(y, t), t).sample
                y = scheduler.step(guess, t, y).prev_sample
            found.append(y)
    for value, wanted in zip(found, [*OF_DIFFUSERS, *SCHEDULERS.values()], strict=True):
        near(value.double().abs().sum().item(), wanted)


def keras() -> None:
    """Sequential and functional models, preprocessing, and `.keras` files."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras as library
    from keras import layers

    library.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 8)).astype("float32")
    y = (x.sum(1) > 0).astype("int32")
    normal, dense = layers.Normalization(), layers.Dense(16, activation="relu")
    model = library.Sequential(
        [normal, dense, layers.Dropout(0.1), layers.Dense(2, activation="softmax")]
    )
    normal.adapt(x)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=3, batch_size=16, verbose=0).history
    near(history["loss"][-1], LOSS_OF_KERAS)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert accuracy == np.mean(model.predict(x, verbose=0).argmax(1) == y) and np.isfinite(loss)

    images = rng.normal(size=(32, 8, 8, 1)).astype("float32")
    given = library.Input((8, 8, 1))
    z = layers.Conv2D(4, 3, padding="same", activation="relu")(given)
    z = layers.MaxPooling2D()(layers.BatchNormalization()(z))
    both = layers.Concatenate()([layers.Flatten()(z), layers.GlobalAveragePooling2D()(z)])
    functional = library.Model(given, layers.Dense(1)(both))
    functional.compile("sgd", "mse")
    functional.fit(images, images.mean((1, 2, 3)), epochs=1, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.keras"))
        functional.save(path)
        again = library.models.load_model(path)
    np.testing.assert_array_equal(
        again.predict(images, verbose=0), functional.predict(images, verbose=0)
    )
    bins = layers.Discretization([0.0, 1.0])(np.array([-1.0, 0.5, 2.0]))
    assert bins.tolist() == [0, 1, 2] and layers.Resizing(4, 4)(images).shape == (32, 4, 4, 1)


def stable_baselines3() -> None:
    """Agents whose weights become PyTorch's; PPO learns to hold a pole."""
    from stable_baselines3 import A2C, DQN, PPO, SAC
    from stable_baselines3.common.evaluation import evaluate_policy

    for agent, world, steps, wanted in (
        (A2C, "CartPole-v1", 100, WEIGHTS["A2C"]),
        (DQN, "CartPole-v1", 160, WEIGHTS["DQN"]),
        (SAC, "Pendulum-v1", 120, WEIGHTS["SAC"]),
    ):
        more = {} if agent is A2C else {"learning_starts": 100}
        model = agent("MlpPolicy", world, seed=0, device="cpu", **more).learn(steps)
        near(sum(p.double().abs().sum().item() for p in model.policy.parameters()), wanted)
    model = PPO("MlpPolicy", "CartPole-v1", seed=0, device="cpu", n_steps=256)
    held, _ = evaluate_policy(model.learn(4096), model.get_env(), 5, warn=False)
    assert held > 300  # steps, of 500; at random it is 20
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model"))
        again = PPO.load(Path(folder, "model"), device="cpu")
    seen = np.zeros((1, 4), "float32")
    assert again.predict(seen, deterministic=True)[0] == model.predict(seen, deterministic=True)[0]


def ignite() -> None:
    """An engine with its events and metrics."""
    from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
    from ignite.metrics import Accuracy, Loss

    torch.manual_seed(0)
    model, loss = torch.nn.Linear(4, 2), torch.nn.CrossEntropyLoss()
    loader = torch.utils.data.DataLoader(samples(), batch_size=16)
    trainer = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), 0.5), loss)
    evaluator = create_supervised_evaluator(model, {"hits": Accuracy(), "loss": Loss(loss)})
    seen: list[float] = []
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda _: seen.append(evaluator.run(loader).metrics["loss"])
    )
    trainer.run(loader, max_epochs=4)
    assert seen == sorted(seen, reverse=True) and len(seen) == 4
    near(seen[-1], LOSS_OF_IGNITE)


def skorch() -> None:
    """A network as an estimator of scikit-learn."""
    from sklearn.model_selection import cross_val_score
    from skorch import NeuralNetClassifier

    torch.manual_seed(0)
    x, y = (t.numpy() for t in samples(200).tensors)
    layers = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Softmax(-1))
    net = NeuralNetClassifier(layers, max_epochs=15, lr=0.5, verbose=0)
    assert net.fit(x, y).score(x, y) > 0.9 and cross_val_score(net, x, y, cv=2).min() > 0.8


def optuna() -> None:
    """A search over the learning rate."""
    import optuna as library

    library.logging.set_verbosity(library.logging.ERROR)
    x, y = samples().tensors

    def final(trial: library.Trial) -> float:
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 2)
        optimizer = torch.optim.SGD(
            model.parameters(), trial.suggest_float("lr", 1e-3, 1, log=True)
        )
        for _ in range(10):
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    study = library.create_study(sampler=library.samplers.RandomSampler(0))
    study.optimize(final, n_trials=6)
    best = max(trial.params["lr"] for trial in study.trials)
    assert study.best_params["lr"] == best and study.best_value < 0.6


def others() -> None:
    """Small libraries: averaged weights, sparse softmax, quantized vectors, an optimizer, ViT."""
    import entmax
    from ema_pytorch import EMA
    from lion_pytorch import Lion
    from torch_ema import ExponentialMovingAverage
    from vector_quantize_pytorch import VectorQuantize
    from vit_pytorch import ViT

    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    average, copy = ExponentialMovingAverage(model.parameters(), decay=0.5), EMA(model, beta=0.5)
    first = model.weight.detach().clone()
    optimizer = Lion(model.parameters(), lr=0.1)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert torch.allclose(model.weight, first - 0.1)  # the sign of the gradient
    copy.update()
    average.update()
    with average.average_parameters():
        assert not torch.equal(model.weight, first - 0.1)
    scores = torch.tensor([[1.0, 0.8, -1.0]], requires_grad=True)
    chances = entmax.sparsemax(scores)  # the projection onto the simplex
    assert torch.allclose(chances, torch.tensor([[0.6, 0.4, 0.0]]))
    chances[0, 0].backward()
    assert torch.allclose(scores.grad, torch.tensor([[0.5, -0.5, 0.0]]))
    quantized, which, _ = VectorQuantize(dim=8, codebook_size=16)(torch.randn(1, 4, 8))
    assert quantized.shape == (1, 4, 8) and 0 <= which.min() <= which.max() < 16
    vit = ViT(image_size=32, patch_size=8, num_classes=3, dim=16, depth=1, heads=2, mlp_dim=16)
    assert vit(torch.randn(1, 3, 32, 32)).shape == (1, 3)


# -- PyTorch's numbers -----------------------------------------------------------------------------

SUM_OF_ACCELERATE = 3.703979
LOSS_OF_PEFT = 4.583120
LOSS_OF_KERAS = 0.6791908
LOSS_OF_IGNITE = 0.1693951
OF_DIFFUSERS = (394.027734, 137.721324, 408.489212)
SCHEDULERS = {
    "DDPMScheduler": 591.669867,
    "DDIMScheduler": 492.236294,
    "EulerDiscreteScheduler": 102706.5728,
    "DPMSolverMultistepScheduler": 102576.4877,
    "LCMScheduler": 10896.91296,
}
WEIGHTS = {"A2C": 1262.910637, "DQN": 686.938492, "SAC": 11933.588652}


def fastai() -> None:
    """A Learner of tabular data: one cycle, metrics, saved and loaded."""
    import fastai.callback.schedule  # noqa: F401  # gives a Learner its fit_one_cycle
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.losses import CrossEntropyLossFlat
    from fastai.metrics import accuracy

    torch.manual_seed(0)
    x = torch.randn(256, 8)
    y = (x[:, 0] + x[:, 1] > 0).long()
    samples = [*zip(x, y, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        loaders = DataLoaders.from_dsets(
            samples[:192], samples[192:], bs=32, device="cpu", num_workers=0
        )
        model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
        learner = Learner(loaders, model, CrossEntropyLossFlat(), metrics=accuracy, path=folder)
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(6, 1e-2)
            loss, right = learner.validate()
        assert loss < 0.45 and right > 0.85, (loss, right)
        learner.save("trained")
        with learner.no_bar():
            predictions, targets = learner.get_preds(ds_idx=1)
            torch.nn.init.zeros_(model[0].weight)
            learner.load("trained")
            again, _ = learner.get_preds(ds_idx=1)
        assert torch.equal(again, predictions) and len(targets) == 64


def sentence_transformers() -> None:
    """Sentences of a small model: encoded, compared, and trained by pairs."""
    import transformers as hf
    from sentence_transformers import SentenceTransformer, losses, util
    from sentence_transformers.models import Pooling, Transformer

    torch.manual_seed(0)
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] a cat dog sits runs on the mat park"
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/vocab.txt", "w") as vocabulary:
            vocabulary.write(words.replace(" ", "\n"))
        hf.BertTokenizer(f"{folder}/vocab.txt").save_pretrained(folder)
        small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = hf.BertConfig(vocab_size=14, intermediate_size=32, **small)
        hf.BertModel(config).save_pretrained(folder)
        words_model = Transformer(folder)
        model = SentenceTransformer(modules=[words_model, Pooling(16)], device="cpu")
    sentences = ["a cat sits on the mat", "the dog runs", "a cat sits on the mat"]
    found = model.encode(sentences, convert_to_tensor=True, show_progress_bar=False)
    assert found.shape == (3, 16) and torch.allclose(found[0], found[2], atol=1e-5)
    assert float(util.cos_sim(found[0], found[2])) > 0.999
    loss = losses.MultipleNegativesRankingLoss(model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    pairs = [["a cat sits", "the dog runs"], ["the cat", "a dog"]]
    history = []
    for _ in range(10):
        optimizer.zero_grad()
        value = loss([model.preprocess(p) for p in pairs], torch.zeros(2))
        value.backward()
        optimizer.step()
        history.append(value.item())
    assert history[-1] < history[0]


USES = (
    accelerate,
    peft,
    diffusers,
    keras,
    stable_baselines3,
    ignite,
    skorch,
    optuna,
    fastai,
    sentence_transformers,
    others,
)
