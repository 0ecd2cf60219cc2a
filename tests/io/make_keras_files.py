"""Writes the files of Keras that the tests read: tests/io/files/model.*

python tests/io/make_keras_files.py      # it needs keras 3 with a backend
"""

from pathlib import Path

import keras
import numpy as np

FILES = Path(__file__).parent / "files"


def main():
    """Write one model in three forms: two layers of known weights, and one that is code."""
    model = keras.Sequential(
        [
            keras.layers.Input((2,)),
            keras.layers.Dense(3, name="first"),
            keras.layers.Lambda(lambda x: x * 2, name="twice"),
            keras.layers.Dense(1, name="last"),
        ],
        name="net",
    )
    for i, weight in enumerate(model.weights):
        size = int(np.prod(weight.shape))
        weight.assign(np.arange(size, dtype=np.float32).reshape(weight.shape) + 10 * i)
    model.save(FILES / "model.keras")
    model.save(FILES / "model.h5")
    model.save_weights(FILES / "model.weights.h5")


if __name__ == "__main__":
    main()
