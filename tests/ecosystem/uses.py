"""Libraries written for PyTorch, each put to a use: ``python uses.py NAME`` runs one.

Run where `torch` is Argand, with the library as the registry has it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import science_uses
import torch
import training_uses


def einops() -> None:
    """Rearranging, reducing and layers."""
    from einops import rearrange, reduce, repeat
    from einops.layers.torch import Rearrange

    x = torch.rand(2, 3, 4, 4)
    patches = rearrange(x, "b c (h p) w -> b (h w) (p c)", p=2)
    assert torch.equal(rearrange(patches, "b (h w) (p c) -> b c (h p) w", p=2, w=4), x)
    assert torch.allclose(reduce(x, "b c h w -> b c", "mean"), x.mean((2, 3)))
    assert repeat(x, "b c h w -> b (r c) h w", r=2).shape == (2, 6, 4, 4)
    assert torch.equal(Rearrange("b c h w -> b (c h w)")(x), x.flatten(1))


def torchinfo() -> None:
    """The summary of a model."""
    from torchinfo import summary

    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten())
    found = summary(model, input_size=(1, 1, 8, 8), verbose=0)
    assert found.total_params == 20 and "[1, 2, 6, 6]" in str(found)


def torchmetrics() -> None:
    """Metrics over batches, against NumPy."""
    import torchmetrics as tm

    chances, wanted = torch.rand(60, 5).softmax(-1), torch.randint(0, 5, (60,))
    accuracy = tm.Accuracy(task="multiclass", num_classes=5, average="micro")
    for i in range(0, 60, 20):
        accuracy.update(chances[i : i + 20], wanted[i : i + 20])
    hits = chances.numpy().argmax(1) == wanted.numpy()
    assert abs(accuracy.compute().item() - hits.mean()) < 1e-6
    for metric in (tm.F1Score, tm.AUROC, tm.AveragePrecision, tm.CohenKappa):
        assert metric(task="multiclass", num_classes=5)(chances, wanted).isfinite()
    a, b = torch.rand(50), torch.rand(50)
    assert abs(tm.PearsonCorrCoef()(a, b).item() - np.corrcoef(a, b)[0, 1]) < 1e-5
    both = tm.MetricCollection([tm.MeanSquaredError(), tm.MeanAbsoluteError()])(a, b)
    assert abs(both["MeanSquaredError"].item() - ((a - b) ** 2).mean().item()) < 1e-6


def torchvision() -> None:
    """Models, both kinds of transforms, datasets, images and the ops of detectors."""
    from PIL import Image
    from torchvision import datasets, models, ops, tv_tensors, utils
    from torchvision import transforms as older
    from torchvision.transforms import v2

    with torch.no_grad():
        assert models.get_model("mobilenet_v3_small").eval()(torch.rand(1, 3, 64, 64)).shape == (
            1,
            1000,
        )
        detector = models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, num_classes=3
        )
        assert "boxes" in detector.eval()([torch.rand(3, 64, 64)])[0]
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), "uint8"))
    steps = [older.Resize(32), older.RandomCrop(32, 4), older.ColorJitter(0.1), older.ToTensor()]
    assert older.Compose(steps)(picture).shape == (3, 32, 32)
    newer = v2.Compose(
        [v2.ToImage(), v2.RandomHorizontalFlip(1.0), v2.ToDtype(torch.float32, True)]
    )
    box = tv_tensors.BoundingBoxes([[1, 2, 10, 12]], format="XYXY", canvas_size=(40, 40))
    flipped, moved = newer(picture, box)
    assert flipped.shape == (3, 40, 40) and moved.tolist() == [[30, 2, 39, 12]]
    samples = datasets.FakeData(8, (3, 8, 8), 5, older.ToTensor())
    batch, _ = next(iter(torch.utils.data.DataLoader(samples, batch_size=4)))
    with tempfile.TemporaryDirectory() as folder:
        utils.save_image(utils.make_grid(batch), Path(folder, "grid.png"))
        assert Image.open(Path(folder, "grid.png")).size == (42, 12)
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    assert ops.nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5).tolist() == [1, 2]
    pooled = ops.roi_align(torch.ones(1, 2, 32, 32), [boxes], 3)
    assert torch.allclose(pooled, torch.ones(3, 2, 3, 3))


def timm() -> None:
    """Models, and steps of the optimizers that come with them."""
    import timm as library
    from timm.data import Mixup
    from timm.loss import SoftTargetCrossEntropy
    from timm.optim import create_optimizer_v2

    with torch.no_grad():
        for name in ("vit_tiny_patch16_224", "efficientnet_b0", "convnext_atto"):
            model = library.create_model(name, num_classes=7).eval()
            assert model(torch.rand(1, 3, 224, 224)).shape == (1, 7)
    for name in ("adamw", "adan", "lion", "adafactor", "radam", "madgrad", "muon"):
        torch.manual_seed(0)
        model = library.create_model("resnet10t", num_classes=3)
        optimizer = create_optimizer_v2(model, opt=name, lr=1e-3)
        images, labels = Mixup(num_classes=3)(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 0]))
        before = [p.clone() for p in model.parameters()]
        SoftTargetCrossEntropy()(model(images), labels).backward()
        optimizer.step()
        changed = [not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True)]
        assert sum(changed) > len(changed) / 2, name


def safetensors() -> None:
    """Files written and read by the library's own functions."""
    from safetensors.torch import load_file, load_model, save_file, save_model

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.safetensors"))
        model, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
        save_model(model, path)
        load_model(other, path)
        assert torch.equal(model.weight, other.weight)
        save_file({"a": torch.arange(3, dtype=torch.bfloat16)}, path)
        (found,) = load_file(path).values()
        assert found.dtype is torch.bfloat16 and found.tolist() == [0, 1, 2]


def tensorboard() -> None:
    """Events that TensorBoard reads again."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            for step in range(3):
                writer.add_scalar("loss", torch.tensor(1.0 / (step + 1)), step)
            writer.add_histogram("weights", torch.arange(100.0), 2)
            writer.add_image("image", torch.rand(3, 8, 16), 2)
            writer.add_text("note", "a text", 2)
        events = EventAccumulator(folder)
        events.Reload()
        assert [e.value for e in events.Scalars("loss")][:2] == [1.0, 0.5]
        spread = events.Histograms("weights")[0].histogram_value
        assert (spread.num, spread.min, spread.max, spread.sum) == (100, 0, 99, 4950)
        assert sum(spread.bucket) == 100
        assert (events.Images("image")[0].height, events.Images("image")[0].width) == (8, 16)
        assert events.Tags()["tensors"] == ["note/text_summary"]


def transformers() -> None:
    """Models of text and images with gradients, greedy generation, and the Trainer."""
    import transformers as hf

    small = {"num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64}
    small |= {"num_hidden_layers": 2, "vocab_size": 100}
    words = torch.randint(3, 100, (2, 8))
    for model in (
        hf.GPT2LMHeadModel(hf.GPT2Config(n_layer=2, n_head=2, n_embd=32, vocab_size=100)),
        hf.LlamaForCausalLM(hf.LlamaConfig(num_key_value_heads=1, **small)),
    ):
        model.eval()(words, labels=words).loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        told = model.generate(words, max_new_tokens=4, do_sample=False, pad_token_id=0)
        with torch.no_grad():  # the same words without the cache of keys and values
            for place in range(8, told.shape[1]):
                best = model(told[:, :place], use_cache=False).logits[:, -1].argmax(-1)
                assert torch.equal(best, told[:, place])
    vit = hf.ViTModel(hf.ViTConfig(image_size=32, patch_size=8, **small))
    assert vit(torch.rand(1, 3, 32, 32)).last_hidden_state.shape == (1, 17, 32)
    samples = [{"input_ids": torch.randint(0, 100, (8,)), "labels": i % 2} for i in range(16)]
    with tempfile.TemporaryDirectory() as folder:
        options = hf.TrainingArguments(
            folder, max_steps=3, save_strategy="no", report_to=[], use_cpu=True
        )
        classifier = hf.BertForSequenceClassification(hf.BertConfig(**small))
        done = hf.Trainer(classifier, options, train_dataset=samples).train()
    assert done.global_step == 3 and np.isfinite(done.training_loss)


def lightning() -> None:
    """A module trained by the Trainer."""
    import lightning as L  # the library's habit

    class Line(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch, index):
            return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.05)

    x = torch.rand(64, 4)
    data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    model = Line()
    trainer = L.Trainer(max_epochs=20, enable_model_summary=False, **quiet)
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=16, shuffle=True))
    assert trainer.global_step == 80
    assert torch.nn.functional.mse_loss(model.layer(x), x.sum(1, keepdim=True)).item() < 0.1


def lightning_checkpoints() -> None:
    """A Trainer that goes on from a checkpoint has the weights of one that was not stopped."""
    import lightning as L  # the library's habit
    from lightning.pytorch.callbacks import ModelCheckpoint

    class Net(L.LightningModule):
        def __init__(self, lr=0.05) -> None:
            super().__init__()
            self.save_hyperparameters()
            layers = torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1)
            self.body = torch.nn.Sequential(*layers)

        def training_step(self, batch, index):
            return torch.nn.functional.mse_loss(self.body(batch[0]), batch[1])

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
            rates = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
            return {"optimizer": optimizer, "lr_scheduler": rates}

    x = torch.rand(48, 4)
    data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))

    def train(epochs, folder, start=None):
        torch.manual_seed(0)
        model = Net()
        keep = ModelCheckpoint(dirpath=folder, save_last=True)
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = L.Trainer(max_epochs=epochs, callbacks=[keep], **quiet)
        batches = torch.utils.data.DataLoader(data, batch_size=16)
        trainer.fit(model, batches, ckpt_path=start)
        return model

    with tempfile.TemporaryDirectory() as folder:
        whole = train(2, f"{folder}/whole")
        train(1, f"{folder}/parts")
        last = f"{folder}/parts/last.ckpt"
        assert Path(folder, "parts", "epoch=0-step=3.ckpt").exists()
        parts = train(2, f"{folder}/parts", last)
        read = Net.load_from_checkpoint(f"{folder}/whole/last.ckpt")
    for name, wanted in whole.state_dict().items():
        assert torch.equal(parts.state_dict()[name], wanted), name
        assert torch.equal(read.state_dict()[name], wanted), name


def transformers_checkpoints() -> None:
    """A Trainer that resumes has the weights of one that was not stopped; its arguments are read
    again where their classes are registered."""
    import importlib

    import transformers as hf

    small = {"num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
    small |= {"num_hidden_layers": 1, "vocab_size": 50}
    samples = [{"input_ids": torch.arange(i, i + 8) % 50, "labels": i % 2} for i in range(16)]

    class Stop(hf.TrainerCallback):
        def on_step_end(self, args, state, control, **rest):
            control.should_training_stop = state.global_step == 4

    def train(folder, callbacks=(), resume=None):
        hf.set_seed(3)
        saving = {"save_strategy": "steps", "save_steps": 2, "per_device_train_batch_size": 4}
        options = hf.TrainingArguments(
            folder, max_steps=6, report_to=[], use_cpu=True, disable_tqdm=True, **saving
        )
        model = hf.BertForSequenceClassification(hf.BertConfig(**small))
        trainer = hf.Trainer(model, options, train_dataset=samples, callbacks=list(callbacks))
        trainer.train(resume_from_checkpoint=resume)
        return model

    with tempfile.TemporaryDirectory() as folder:
        whole = train(f"{folder}/whole")
        train(f"{folder}/parts", [Stop()])
        parts = train(f"{folder}/parts", resume=True)
        path = f"{folder}/parts/checkpoint-4/training_args.bin"
        try:
            torch.load(path, weights_only=False)
        except ValueError as error:
            assert "asks for transformers.training_args.TrainingArguments" in str(error)
        else:
            raise AssertionError("classes were built that nothing has registered")
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        found = [name.rpartition(".") for name in names]
        known = [getattr(importlib.import_module(module), name) for module, _, name in found]
        with torch.serialization.safe_globals(known):
            read = torch.load(path, weights_only=False)
    assert read.save_steps == 2 and read.save_strategy is hf.trainer_utils.SaveStrategy.STEPS
    for name, wanted in whole.state_dict().items():
        assert torch.equal(parts.state_dict()[name], wanted), name


USES = {
    f.__name__: f
    for f in (
        einops,
        torchinfo,
        torchmetrics,
        torchvision,
        timm,
        safetensors,
        tensorboard,
        transformers,
        lightning,
        lightning_checkpoints,
        transformers_checkpoints,
        *training_uses.USES,
        *science_uses.USES,
    )
}

if __name__ == "__main__":
    assert torch.__version__.endswith("+argand")
    USES[sys.argv[1]]()
