"""Whisper with random weights: spectrogram, training steps, decoding, alignment."""

from __future__ import annotations

import numpy as np
import torch
import whisper
from parts import part, stepped
from torch.nn import functional as F
from whisper.audio import log_mel_spectrogram, pad_or_trim
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer

SIZES = ModelDimensions(80, 1500, 32, 2, 2, 51865, 448, 32, 2, 2)
SOUND = np.sin(np.cumsum(np.linspace(0.01, 0.3, 48000))).astype(np.float32)


def made() -> Whisper:
    """The model; it leaves the memory of one parameter as it was."""
    model = Whisper(SIZES)
    torch.nn.init.normal_(model.decoder.positional_embedding, std=0.1)
    return model


def spectrogram() -> torch.Tensor:
    """That of three seconds of sound, filled up to thirty."""
    return log_mel_spectrogram(pad_or_trim(torch.from_numpy(SOUND)))


def trained() -> float:
    """The loss after three steps towards some tokens."""
    model, mel = made(), spectrogram()[None]
    tokens = torch.tensor([[50258, 50259, 50359, 50363, 440, 1500, 50257]])

    def loss() -> torch.Tensor:
        logits = model(mel, tokens[:, :-1])
        return F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:])

    return stepped(model, loss, lr=0.1)


def decoded(**options: object) -> float:
    """The sum of the tokens that a decoding gives, and their mean logarithm."""
    model = made().eval()
    asked = whisper.DecodingOptions(language="en", fp16=False, sample_len=12, **options)
    found = model.decode(spectrogram(), asked)
    return float(sum(found.tokens)) + found.avg_logprob


def transcribed() -> float:
    """The number of segments of a text, and its letters, with times of words."""
    model = made().eval()
    found = model.transcribe(
        SOUND, fp16=False, temperature=0.0, sample_len=8, word_timestamps=False, language="en"
    )
    return float(len(found["segments"]) + sum(map(ord, found["text"])))


def language() -> float:
    """The probability of the language that is heard."""
    model = made().eval()
    _, found = model.detect_language(spectrogram())
    return float(max(found.values()) * 100)


def tokens() -> float:
    """A text's tokens, there and back."""
    coded = get_tokenizer(True)
    numbers = coded.encode("The sea, at night.")
    assert coded.decode(numbers) == "The sea, at night."
    return float(sum(numbers))


part("spectrogram", lambda: spectrogram().square().mean())
part("training", trained)
part("greedy decoding", decoded)
part("beam search", lambda: decoded(beam_size=3))
part("sampling", lambda: decoded(temperature=0.7, best_of=2))
part("language", language)
part("transcribe", transcribed)
part("tokenizer", tokens)
