"""Small models of transformers that `models.py` compares: the class that builds each, and its
configuration."""

from __future__ import annotations

from typing import Any

_CAUSAL, _MASKED, _TRANSLATING = (
    "AutoModelForCausalLM",
    "AutoModelForMaskedLM",
    "AutoModelForSeq2SeqLM",
)
_VOCABULARY: dict[str, Any] = {"vocab_size": 100, "pad_token_id": 0, "bos_token_id": 1}
_VOCABULARY |= {"eos_token_id": 2}
_LAYERS: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
_LAYERS |= {"intermediate_size": 48}
_TEXT = _LAYERS | _VOCABULARY | {"max_position_embeddings": 64}
_GROUPED = _TEXT | {"num_key_value_heads": 2}
_OF_GPT2 = _VOCABULARY | {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
_BOTH_SIDES = _VOCABULARY | {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 1,
}
_OF_T5 = _VOCABULARY | {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
_IMAGES = _LAYERS | {"image_size": 32, "patch_size": 8}
_SOUND = _LAYERS | {
    "vocab_size": 40,
    "conv_dim": (16, 16, 16),
    "conv_stride": (5, 2, 2),
    "conv_kernel": (10, 3, 2),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": (_CAUSAL, _OF_GPT2),
    "gptj": (_CAUSAL, _OF_GPT2 | {"rotary_dim": 4}),
    "gpt_neox": (_CAUSAL, _TEXT),
    "llama": (_CAUSAL, _GROUPED),
    "mistral": (_CAUSAL, _GROUPED | {"sliding_window": 8}),
    "mixtral": (_CAUSAL, _GROUPED | {"num_local_experts": 4}),
    "qwen2": (_CAUSAL, _GROUPED),
    "qwen3": (_CAUSAL, _GROUPED | {"head_dim": 8}),
    "gemma": (_CAUSAL, _GROUPED | {"head_dim": 8}),
    "gemma2": (_CAUSAL, _GROUPED | {"head_dim": 8, "sliding_window": 8}),
    "phi": (_CAUSAL, _TEXT),
    "phi3": (_CAUSAL, _GROUPED),
    "opt": (
        _CAUSAL,
        _TEXT | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    ),
    "bloom": (_CAUSAL, _VOCABULARY | {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "falcon": (_CAUSAL, _TEXT),
    "mamba": (_CAUSAL, _TEXT | {"state_size": 8}),
    "bert": (_MASKED, _TEXT),
    "roberta": (_MASKED, _TEXT),
    "distilbert": (
        _MASKED,
        _VOCABULARY | {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    ),
    "albert": (_MASKED, _TEXT | {"embedding_size": 16}),
    "electra": (_MASKED, _TEXT | {"embedding_size": 16}),
    "deberta-v2": (_MASKED, _TEXT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    "mpnet": (_MASKED, _TEXT),
    "modernbert": (_MASKED, _TEXT),
    "t5": (_TRANSLATING, _OF_T5),
    "mt5": (_TRANSLATING, _OF_T5 | {"feed_forward_proj": "gated-gelu"}),
    "bart": (_TRANSLATING, _BOTH_SIDES),
    "marian": (_TRANSLATING, _BOTH_SIDES),
    "pegasus": (_TRANSLATING, _BOTH_SIDES),
    "whisper": (
        "AutoModelForSpeechSeq2Seq",
        _BOTH_SIDES | {"num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 64},
    ),
    "wav2vec2": ("AutoModelForCTC", _SOUND),
    "hubert": ("AutoModelForCTC", _SOUND),
    "vit": ("AutoModel", _IMAGES),
    "deit": ("AutoModel", _IMAGES),
    "dinov2": ("AutoModel", _IMAGES),
    "beit": ("AutoModel", _IMAGES | {"use_relative_position_bias": True}),
    "swin": (
        "AutoModel",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [1, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
    ),
    "convnext": ("AutoModel", {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2}),
    "resnet": ("AutoModel", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2]}),
    "segformer": (
        "AutoModelForSemanticSegmentation",
        {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16},
    ),
    "clip": (
        "AutoModel",
        {"text_config": _TEXT, "vision_config": _IMAGES, "projection_dim": 16},
    ),
    "siglip": ("AutoModel", {"text_config": _TEXT, "vision_config": _IMAGES}),
}
