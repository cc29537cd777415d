"""The shipped model's sizes, in transformers' own configuration classes."""

from transformers import CLIPVisionConfig, LlamaConfig

IMAGE_SIZE, PATCH_SIZE, GRID = 96, 8, 12
PATCHES = GRID * GRID
FEATURE_LAYER = -2
IMAGE_MEAN = (0.35, 0.35, 0.35)
IMAGE_STD = (0.25, 0.25, 0.25)
# VisionZip's default budget for one frame, CLS + 12 patches and 2 contextual tokens: 15 of 144 tokens, 10.4 %.
DOMINANT, CONTEXTUAL, FRAMES, MOST_FRAMES = 13, 2, 8, 64

SHAPES = ("circle", "square", "triangle", "star", "ring", "flash")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white")


def vision_config() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=4,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        projection_dim=128,
        hidden_act="gelu_pytorch_tanh",
    )


# Decoders: the one that ships, and a smaller one to compare with.
SIZES = {
    "nano": {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 6},
    "small": {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 6},
}


def text_config(vocab_size: int, size: str = "nano") -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocab_size,
        **SIZES[size],
        num_key_value_heads=SIZES[size]["num_attention_heads"],
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        rope_theta=10000.0,
    )
