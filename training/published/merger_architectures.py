"""Architectures whose tower ends in a patch merger by transformers' own classes, tiny, and their random weights."""

import torch
import vocabulary
from architectures import draw_weights
from tokenizers import Tokenizer
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5GatedDeltaNet, Qwen3_5RMSNorm

ADDED = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
HIDDEN, TOWER = 32, 16  # of the decoders and of the towers
PATCH = 4  # the published have 14 or 16: pixels and the weights that read them would be most of a fixture
ROPE_THETA = 100.0  # with so few frequencies, larger ones hardly tell rows from columns
QUERY_BIAS = 7  # makes some keys liked by all queries, else all scores are alike


def tokenizer() -> Tokenizer:
    return vocabulary.qwen_tokenizer(ADDED)


def placeholders(tokens: Tokenizer) -> dict:
    names = {"vision_start": 0, "vision_end": 1, "image": 2, "video": 3}
    return {f"{name}_token_id": tokens.token_to_id(ADDED[i]) for name, i in names.items()}


def decoder(tokens: Tokenizer, sections: list[int]) -> dict:
    """text_config. Without tied embeddings: a random model that is tied repeats its last token."""
    return {
        "vocab_size": tokens.get_vocab_size(),
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA, "mrope_section": sections},
        "bos_token_id": tokens.token_to_id("<|endoftext|>"),
        "eos_token_id": tokens.token_to_id("<|im_end|>"),
        "pad_token_id": tokens.token_to_id("<|endoftext|>"),
    }


def tower(**settings) -> dict:
    """vision_config."""
    return {"depth": 3, "num_heads": 2, "patch_size": PATCH, "spatial_merge_size": 2, **settings}


def build_qwen2_vl(tokens: Tokenizer) -> PreTrainedModel:
    config = Qwen2VLConfig(
        text_config=decoder(tokens, [2, 3, 3]),
        vision_config=tower(embed_dim=TOWER, hidden_size=HIDDEN, mlp_ratio=2),
        **placeholders(tokens),
    )
    return Qwen2VLForConditionalGeneration(config)


def build_qwen2_5_vl(tokens: Tokenizer) -> PreTrainedModel:
    """Windows of 2 × 2 tokens; the last block, as the published, looks at all."""
    sizes = {"hidden_size": TOWER, "intermediate_size": 32, "out_hidden_size": HIDDEN}
    config = Qwen2_5_VLConfig(
        text_config=decoder(tokens, [2, 3, 3]),
        vision_config=tower(**sizes, window_size=4 * PATCH, fullatt_block_indexes=[2], tokens_per_second=2),
        **placeholders(tokens),
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def build_qwen3_vl(tokens: Tokenizer) -> PreTrainedModel:
    """The first two blocks of the tower have mergers of their own, for DeepStack."""
    text = decoder(tokens, [4, 2, 2]) | {"head_dim": 16}
    text["rope_parameters"] |= {"mrope_interleaved": True}
    sizes = {"hidden_size": TOWER, "intermediate_size": 32, "out_hidden_size": HIDDEN, "num_position_embeddings": 25}
    config = Qwen3VLConfig(
        text_config=text,
        vision_config=tower(**sizes, deepstack_visual_indexes=[0, 1]),
        **placeholders(tokens),
    )
    return Qwen3VLForConditionalGeneration(config)


def build_qwen3_5(tokens: Tokenizer) -> PreTrainedModel:
    """Every fourth layer has softmax and rotates half of each head; the published rotate a quarter."""
    text = decoder(tokens, [2, 1, 1]) | {"num_hidden_layers": 4, "intermediate_size": 32, "head_dim": 16}
    text["rope_parameters"] |= {"mrope_interleaved": True, "partial_rotary_factor": 0.5}
    heads = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8}
    sizes = {"hidden_size": TOWER, "intermediate_size": 32, "out_hidden_size": HIDDEN, "num_position_embeddings": 25}
    config = Qwen3_5Config(
        text_config=text | heads | {"linear_value_head_dim": 8},
        vision_config=tower(**sizes),
        **placeholders(tokens),
    )
    return Qwen3_5ForConditionalGeneration(config)


@torch.no_grad()
def draw_merger(model: PreTrainedModel, seed: int, never: list[int]) -> None:
    """`never`: ids that the head is to keep out of its answers."""
    draw_weights(model, seed, never)
    for block in model.model.visual.blocks:
        block.attn.qkv.bias[: block.attn.dim] *= QUERY_BIAS
    for module in model.modules():
        if isinstance(module, Qwen3_5RMSNorm):
            module.weight -= 1  # what it scales by is 1 more
        if isinstance(module, Qwen3_5GatedDeltaNet):
            module.A_log -= 2  # else it forgets within a token or two
