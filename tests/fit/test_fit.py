"""compile, fit, evaluate, predict, summary and the callbacks."""

import copy
import csv
import math

import numpy as np
import pytest

import argand as ag
from argand import fit, metrics, nn, optim
from argand.data import DataLoader, TensorDataset
from argand.nn import functional as F

rng = np.random.default_rng(4)
X = rng.standard_normal((60, 5)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(np.int64)


def model(seed=0, out=2):
    ag.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, out))


def ready(eager=True, **options):
    net = model()
    options = {"optimizer": "adam", "loss": "cross_entropy", "metrics": ["accuracy"]} | options
    net.compile(run_eagerly=eager, **options)
    return net


def weights(net):
    return {k: v.clone().numpy() for k, v in net.state_dict().items()}


def same(a, b):
    return all(np.array_equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("eager", [True, False], ids=["eager", "compiled"])
def test_fit_learns_and_reports(eager):
    net = ready(eager, optimizer=lambda p: optim.Adam(p, lr=0.02))
    history = net.fit(X, Y, batch_size=16, epochs=12, verbose=0, validation_split=0.25)
    logs = history.history
    assert set(logs) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(logs["loss"]) == 12 and history.epoch == list(range(12))
    assert logs["loss"][-1] < 0.6 * logs["loss"][0]
    assert logs["accuracy"][-1] > 0.8
    loss, accuracy = net.evaluate(X, Y, verbose=0)
    scores = net.predict(X)
    assert scores.shape == (60, 2)
    assert accuracy == pytest.approx((scores.numpy().argmax(1) == Y).mean())
    assert loss == pytest.approx(F.cross_entropy(scores, ag.tensor(Y)).item(), rel=1e-5)


def test_compiled_and_eager_agree():
    losses = []
    for eager in (True, False):
        ag.manual_seed(1)
        history = ready(eager).fit(X, Y, batch_size=16, epochs=3, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_fit_is_the_loop_one_would_write():
    net, plain = ready(), model()
    net.fit(X, Y, batch_size=20, epochs=2, verbose=0, shuffle=False)
    optimizer = optim.Adam(plain.parameters())
    for _ in range(2):
        for i in range(0, 60, 20):
            optimizer.zero_grad()
            F.cross_entropy(plain(ag.tensor(X[i : i + 20])), ag.tensor(Y[i : i + 20])).backward()
            optimizer.step()
    assert same(weights(net), weights(plain))


SOURCES = {
    "arrays": lambda: (X, Y),
    "tensors": lambda: (ag.tensor(X), ag.tensor(Y)),
    "dataset": lambda: (TensorDataset(X, Y), None),
    "loader": lambda: (DataLoader(TensorDataset(X, Y), batch_size=32), None),
    "list of batches in a generator": lambda: (Batches(), None),
}


class Batches:
    def __iter__(self):
        yield X[:32], Y[:32]
        yield X[32:], Y[32:]


@pytest.mark.parametrize("source", SOURCES)
def test_all_kinds_of_data_train_alike(source):
    x, y = SOURCES[source]()
    net, expected = ready(), ready()
    net.fit(x, y, verbose=0, shuffle=False)
    expected.fit(X, Y, verbose=0, shuffle=False)
    assert same(weights(net), weights(expected))
    again = SOURCES[source]()
    assert net.evaluate(*again, verbose=0) == pytest.approx(expected.evaluate(X, Y, verbose=0))


def test_several_inputs():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(5, 1), nn.Linear(3, 1)

        def forward(self, x, z):
            return self.a(x) + self.b(z)

    net = Sum()
    net.compile("sgd", "mse", run_eagerly=True)
    z, y = np.ones((60, 3), np.float32), Y[:, None].astype(np.float32)
    net.fit((X, z), y, epochs=2, verbose=0)
    assert net.predict((X, z)).shape == (60, 1)
    loss = net.evaluate((X, z), y, verbose=0)
    assert loss == pytest.approx(((net.predict((X, z)).numpy() - y) ** 2).mean(), rel=1e-5)
    batches = DataLoader(TensorDataset(X, z, y), batch_size=20)
    assert net.evaluate(batches, verbose=0) == pytest.approx(loss, rel=1e-5)


def test_steps_and_epochs():
    net, seen = ready(), []
    callback = fit.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch),
        on_epoch_begin=lambda epoch, logs: seen.append(f"epoch {epoch}"),
    )
    options = {"epochs": 3, "initial_epoch": 1, "steps_per_epoch": 3, "verbose": 0}
    net.fit(X, Y, batch_size=40, callbacks=[callback], **options)
    assert seen == ["epoch 1", 0, 1, 2, "epoch 2", 0, 1, 2]
    with pytest.raises(TypeError, match="no moment 'on_epoch_edn'; did you mean on_epoch_end"):
        fit.LambdaCallback(on_epoch_edn=print)


@pytest.mark.parametrize("eager", [True, False], ids=["eager", "compiled"])
def test_a_copied_model_trains_on_its_own(eager):
    net = ready(eager)
    net.fit(X, Y, verbose=0, shuffle=False)
    twin = copy.deepcopy(net)
    before = weights(net)
    twin.fit(X, Y, verbose=0, shuffle=False)
    assert same(weights(net), before) and not same(weights(twin), before)
    net.fit(X, Y, verbose=0, shuffle=False)
    assert same(weights(net), weights(twin))
    net.compile()
    assert copy.deepcopy(net)(ag.tensor(X)).shape == (60, 2)


def test_modes_are_restored():
    net = nn.Sequential(nn.Linear(5, 2), nn.Dropout(0.5))
    net.compile("sgd", "cross_entropy", run_eagerly=True)
    net.eval()
    modes = []
    spy = fit.LambdaCallback(
        on_train_batch_end=lambda batch, logs: modes.append(net[1].training),
        on_test_batch_end=lambda batch, logs: modes.append(net[1].training),
    )
    net.fit(X, Y, batch_size=60, verbose=0, validation_data=(X, Y), callbacks=[spy])
    assert modes == [True, False] and not net.training
    np.testing.assert_array_equal(net.predict(X).numpy(), net.predict(X).numpy())


def test_early_stopping_restores_the_best():
    net = ready()
    values = iter([3.0, 2.0, 2.5, 2.6, 9.0])
    best = {}

    class Fake(fit.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = next(values)
            if logs["val_loss"] == 2.0:
                best.update(weights(net))

    stopping = fit.EarlyStopping(patience=2, restore_best_weights=True)
    history = net.fit(X, Y, epochs=9, verbose=0, callbacks=[Fake(), stopping])
    assert len(history.epoch) == 4 and stopping.stopped_epoch == 3 and stopping.best == 2.0
    assert same(weights(net), best)
    with pytest.raises(ValueError, match="no value 'val_los' to monitor"):
        net.fit(X, Y, verbose=0, callbacks=[fit.EarlyStopping("val_los")])


def test_checkpoints(tmp_path):
    net = ready()
    every = fit.ModelCheckpoint(tmp_path / "{epoch:02d}.st", save_weights_only=True)
    best = fit.ModelCheckpoint(tmp_path / "deep/best.st", "accuracy", save_best_only=True)
    net.fit(X, Y, epochs=3, verbose=0, callbacks=[every, best])
    assert sorted(p.name for p in tmp_path.glob("*.st")) == ["01.st", "02.st", "03.st"]
    fresh = model(seed=9)
    fresh.load_state_dict(ag.load(tmp_path / "03.st"))
    assert same(weights(fresh), weights(net))
    saved = ag.load(tmp_path / "deep/best.st")
    assert set(saved) == {"model", "optimizer", "epoch", "random"}
    assert best.best == max(net.fit(X, Y, verbose=0).history["accuracy"] + [best.best])
    steps = fit.ModelCheckpoint(tmp_path / "step.st", save_freq=2)
    net.fit(X, Y, batch_size=30, verbose=0, callbacks=[steps])
    assert (tmp_path / "step.st").exists()


@pytest.mark.parametrize("eager", [True, False], ids=["eager", "compiled"])
def test_an_interrupted_training_continues_as_if_nothing_had_happened(eager, tmp_path):
    def build():
        ag.manual_seed(3)
        net = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.3), nn.Linear(8, 2))
        net.compile("adamw", "cross_entropy", run_eagerly=eager)
        return net

    class Interrupt(fit.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen == 6:  # in the second epoch of four steps
                raise KeyboardInterrupt

    whole, net, fresh = build(), build(), build()
    options = {"batch_size": 16, "epochs": 3, "verbose": 0}
    ag.manual_seed(4)
    whole.fit(X, Y, **options)
    ag.manual_seed(4)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, callbacks=[fit.BackupAndRestore(tmp_path), Interrupt()], **options)
    ag.manual_seed(99)  # another process would start anywhere
    history = fresh.fit(X, Y, callbacks=[fit.BackupAndRestore(tmp_path)], **options)
    assert history.epoch == [1, 2]
    assert same(weights(fresh), weights(whole))
    assert not list(tmp_path.iterdir())
    steps = fit.BackupAndRestore(tmp_path, save_freq=1, delete_checkpoint=False)
    ag.manual_seed(4)
    net = build()
    ag.manual_seed(4)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, callbacks=[steps, Interrupt()], **options)
    assert [path.name for path in tmp_path.iterdir() if "05" in path.name]
    fresh = build()
    assert fresh.fit(X, Y, callbacks=steps, **options).epoch == [1, 2]
    assert same(weights(fresh), weights(whole)) and list(tmp_path.iterdir())


def test_learning_rates():
    net = ready()
    schedule = fit.LearningRateScheduler(lambda epoch, lr: 0.1 / (epoch + 1))
    history = net.fit(X, Y, epochs=3, verbose=0, callbacks=[schedule])
    assert history.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])
    simple = fit.LearningRateScheduler(lambda epoch: 0.5)
    net.fit(X, Y, verbose=0, callbacks=[simple])
    assert net._setup.optimizer.param_groups[0]["lr"] == 0.5
    plateau = fit.ReduceLROnPlateau("loss", factor=0.1, patience=0, min_delta=100.0)
    net.fit(X, Y, epochs=3, verbose=0, callbacks=[plateau])
    assert net._setup.optimizer.param_groups[0]["lr"] == pytest.approx(0.005)


def test_csv_logger(tmp_path):
    net, path = ready(), tmp_path / "log.csv"
    net.fit(X, Y, epochs=2, verbose=0, callbacks=[fit.CSVLogger(path)])
    net.fit(X, Y, epochs=1, verbose=0, callbacks=[fit.CSVLogger(path, append=True)])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["epoch"] for r in rows] == ["0", "1", "0"]
    assert all(float(r["loss"]) > 0 for r in rows)


def test_nan_stops():
    net = nn.Linear(5, 1)
    net.compile(optim.SGD(net.parameters(), lr=1e10), "mse", run_eagerly=True)
    y, stop = Y[:, None].astype(np.float32), fit.TerminateOnNaN()
    history = net.fit(X, y, batch_size=10, epochs=50, verbose=0, callbacks=[stop])
    assert len(history.epoch) < 50 and not math.isfinite(history.history["loss"][-1])


def test_names_and_objects():
    net = model()
    net.compile(optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss(), metrics.Accuracy())
    assert isinstance(net._setup.optimizer, optim.SGD)
    net.compile("AdamW", F.cross_entropy, run_eagerly=True)
    assert net._setup.optimizer.param_groups[0]["lr"] == 1e-3
    with pytest.raises(ValueError, match="no optimizer is called 'adm'; did you mean adam"):
        net.compile("adm", "mse")
    with pytest.raises(ValueError, match="no loss is called 'mean_square_error'; did you mean"):
        net.compile("adam", "mean_square_error")
    with pytest.raises(ValueError, match="no metric is called 'acuracy'"):
        net.compile("adam", "mse", ["acuracy"])


def test_kerass_losses_take_probabilities():
    net = nn.Sequential(model(), nn.Softmax(1))
    p = net(ag.tensor(X)).detach().numpy()
    expected = -np.log(p[range(60), Y]).mean()
    net.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    assert net.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)
    net.compile("adam", "categorical_crossentropy", run_eagerly=True)
    hot = np.eye(2, dtype=np.float32)[Y]
    assert net.evaluate(X, hot, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_what_is_missing_is_said():
    net = model()
    with pytest.raises(ValueError, match=r"call model.compile\(optimizer, loss, metrics\) before"):
        net.fit(X, Y)
    net.compile("adam", loss=None)
    with pytest.raises(ValueError, match="no loss was given"):
        net.fit(X, Y, verbose=0)
    net = ready()
    with pytest.raises(RuntimeError, match="the numbers of samples differ"):
        net.fit(X, Y[:-1], verbose=0)
    with pytest.raises(ValueError, match=r"validation_split must be a number in \(0, 1\)"):
        net.fit(X, Y, verbose=0, validation_split=1.5)
    with pytest.raises(TypeError, match="validation_split needs arrays"):
        net.fit(DataLoader(TensorDataset(X, Y)), verbose=0, validation_split=0.5)
    with pytest.raises(TypeError, match="part of the batches"):
        net.fit(DataLoader(TensorDataset(X, Y)), Y, verbose=0)
    with pytest.raises(ValueError, match="there is no data"):
        net.fit(DataLoader(TensorDataset(X[:0], Y[:0])), verbose=0)


def test_lines_of_an_epoch(capsys):
    net = ready()
    net.fit(X, Y, epochs=2, verbose=2, validation_data=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
    assert "val_accuracy 0." in lines[0]
    net.fit(X, Y, verbose=1)
    assert "Epoch 1/1" in capsys.readouterr().out
    assert net.evaluate(X, Y, verbose=0, return_dict=True).keys() == {"loss", "accuracy"}


def test_summary(capsys):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
    text = net.summary(input_shape=(1, 8, 8))
    assert capsys.readouterr().out == text + "\n"
    rows = [[c.strip() for c in r.split("│")[1:-1]] for r in text.splitlines() if "│" in r]
    assert rows == [
        ["Layer (type)", "Output Shape", "Param #"],
        ["0 (Conv2d)", "(None, 4, 6, 6)", "40"],
        ["1 (BatchNorm2d)", "(None, 4, 6, 6)", "8"],
        ["2 (Flatten)", "(None, 144)", "0"],
        ["3 (Linear)", "(None, 10)", "1,450"],
    ]
    assert "Total params: 1,507 (5.89 KB)" in text
    assert "Trainable params: 1,498" in text and "Non-trainable params: 9 " in text
    assert net.training
    assert "(None" not in net.summary(print_fn=None)
    trained = ready()
    trained.fit(X, Y, verbose=0)
    assert "(None, 16)" in trained.summary(print_fn=None)


def test_a_compiled_model_without_optimizer_is_pytorchs_compile():
    net = model()
    x = ag.tensor(X)
    expected = net(x).detach().numpy()
    net.compile()
    for _ in range(2):
        np.testing.assert_allclose(net(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="before fit"):
        net.fit(X, Y)


def test_digits():
    from argand.vision.datasets import Digits

    train, held_out = Digits(), Digits(train=False)
    assert (len(train), len(held_out)) == (1437, 360)
    assert train.images.shape == (1437, 1, 8, 8) and train.images.dtype is ag.float32
    assert train.images.max().item() == 1.0 and train.labels.dtype is ag.int64


def test_mnist_archive(tmp_path):
    from argand.vision.datasets import MNIST

    images, labels = np.full((3, 28, 28), 255, np.uint8), np.arange(3, dtype=np.uint8)
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
    data = MNIST(path)
    assert data.images.shape == (3, 1, 28, 28) and data.images.mean().item() == 1.0
    assert data.labels.tolist() == [0, 1, 2] and len(MNIST(path, train=False)) == 1
    np.savez(path, x_train=images)
    with pytest.raises(ValueError, match="no array 'y_train'"):
        MNIST(path)
    np.savez(path, x_train=np.array([object()]), y_train=labels)
    with pytest.raises(ValueError, match="not a NumPy archive of arrays"):
        MNIST(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a NumPy archive"):
        MNIST(path)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m, x, y: m.fit(x, y, epochs="two"), r"fit\(.*epochs='two'.*: epochs must be"),
        (lambda m, x, y: m.fit(x, y, epochs=-1), "epochs must be a whole number of at least 0"),
        (lambda m, x, y: m.fit(x, y, batch_size=0), "batch_size must be a whole number"),
        (lambda m, x, y: m.fit(x, y, steps_per_epoch=0), "steps_per_epoch must be"),
        (lambda m, x, y: m.fit(x, y, validation_freq=0), "validation_freq must be"),
        (lambda m, x, y: m.fit(x, y, initial_epoch=-2), "initial_epoch must be"),
        (lambda m, x, y: m.evaluate(x, y, steps=0), "steps must be a whole number"),
        (lambda m, x, y: m.predict(x, batch_size=-1), "batch_size must be a whole number"),
        (lambda m, x, y: fit.EarlyStopping(patience=-1), "patience must be a whole number"),
        (lambda m, x, y: fit.ModelCheckpoint("x", save_freq=0), "save_freq must be"),
        (lambda m, x, y: m.fit(None), "fit can't work with these arguments"),
        (lambda m, x, y: m.fit(x, y, epoch=3), "did you mean epochs"),
        (lambda m, x, y: m.fit(x, y, callbacks=[3]), "fit can't work with these arguments"),
        (lambda m, x, y: m.fit(x, y[:3]), "numbers of samples differ"),
        (lambda m, x, y: m.fit(x[:0], y[:0]), "no data"),
        (lambda m, x, y: m.fit(x, y + 9), "index 9 is out of range"),
        (lambda m, x, y: m.fit(x.astype(str), y), "NumPy elements of type <U"),
        (lambda m, x, y: m.predict(x[:, :2]), "the inner sizes 2 and 3 differ"),
        (lambda m, x, y: m.summary(object()), "summary can't work with these arguments"),
    ],
)
def test_bad_arguments_are_explained(call, says):
    model = nn.Sequential(nn.Linear(3, 2))
    model.compile("adam", "cross_entropy")
    x, y = np.ones((10, 3), np.float32), np.zeros(10, np.int64)
    with pytest.raises((RuntimeError, TypeError, ValueError, IndexError), match=says):
        call(model, x, y)


def test_targets_without_the_outputs_last_dimension_become_columns():
    x = ag.tensor(np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32))
    model = nn.Linear(3, 1)
    model.compile(optim.SGD(model.parameters(), lr=0.3), "mse", ["mae"])
    target = x[:, 0] - 2 * x[:, 1] + 1
    history = model.fit(x, target, epochs=30, batch_size=16, verbose=0).history
    assert history["loss"][-1] < 1e-4
    assert history["mae"][-1] < 1e-2


def test_binary_classification_takes_whole_numbers_and_counts_both_classes():
    x = ag.tensor(np.random.default_rng(0).standard_normal((128, 2)).astype(np.float32))
    labels = (x[:, 0] > x[:, 1]).long()
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    model.compile(optim.Adam(model.parameters(), lr=0.1), "binary_crossentropy", ["accuracy"])
    model.fit(x, labels, epochs=20, batch_size=16, verbose=0)
    assert model.evaluate(x, labels, verbose=0)[1] > 0.95
    assert 0.3 < labels.float().mean() < 0.7


def test_a_column_of_class_numbers_is_fine():
    x, labels = ag.rand(20, 3), ag.arange(20) % 2
    model = nn.Linear(3, 2)
    model.compile("sgd", "cross_entropy", ["accuracy"])
    rows, column = (model.evaluate(x, y, verbose=0) for y in (labels, labels.reshape(20, 1)))
    assert rows == column


def test_one_callback_needs_no_list():
    model = nn.Linear(3, 1)
    model.compile("sgd", "mse")
    seen = []
    callback = fit.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    model.fit(ag.rand(4, 3), ag.rand(4, 1), epochs=2, verbose=0, callbacks=callback)
    assert seen == [0, 1]


def test_data_without_targets_are_explained():
    model = nn.Linear(3, 1)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="compares with a target, and there is none: give y"):
        model.fit(ag.rand(4, 3), verbose=0)
    model.compile("sgd", lambda outputs, target: outputs.square().mean())
    assert model.fit(ag.rand(4, 3), verbose=0).history["loss"]
