"""The families' architectures by transformers' own classes, tiny, and random weights whose attention is not flat."""

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    CLIPVisionConfig,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedModel,
    Qwen2Config,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    TimmWrapperConfig,
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
)
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig

NEXT_PINPOINTS = [[42, 84], [84, 42], [84, 84], [126, 42], [42, 126]]
HIDDEN = 40  # of the decoders; the towers have 32


def clip_vision(image: int = 42, patch: int = 6) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=image,
        patch_size=patch,
        projection_dim=32,
    )


def siglip_vision(image: int, patch: int, layers: int, cls=SiglipVisionConfig, **settings):
    return cls(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        image_size=image,
        patch_size=patch,
        **settings,
    )


def decoder(tokenizer: Tokenizer, cls, kv_heads: int, bos: str, eos: str, pad: str, layers: int = 2):
    """Without tied embeddings: a random model that is tied repeats its last token."""
    return cls(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=HIDDEN,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=4096,
        bos_token_id=tokenizer.token_to_id(bos),
        eos_token_id=tokenizer.token_to_id(eos),
        pad_token_id=tokenizer.token_to_id(pad),
        tie_word_embeddings=False,
    )


def llama(tokenizer: Tokenizer) -> LlamaConfig:
    return decoder(tokenizer, LlamaConfig, 4, "<s>", "</s>", "<pad>")


def qwen(tokenizer: Tokenizer) -> Qwen2Config:
    return decoder(tokenizer, Qwen2Config, 2, "<|im_start|>", "<|im_end|>", "<|endoftext|>")


def smol(tokenizer: Tokenizer, layers: int = 2) -> LlamaConfig:
    return decoder(tokenizer, LlamaConfig, 2, "<|im_start|>", "<end_of_utterance>", "<|im_end|>", layers)


def build_llava(tokenizer: Tokenizer) -> PreTrainedModel:
    config = LlavaConfig(
        vision_config=clip_vision(),
        text_config=llama(tokenizer),
        image_token_index=tokenizer.token_to_id("<image>"),
        image_seq_length=49,
    )
    return LlavaForConditionalGeneration(config)


def build_llava_next(tokenizer: Tokenizer) -> PreTrainedModel:
    config = LlavaNextConfig(
        vision_config=clip_vision(),
        text_config=llama(tokenizer),
        image_token_index=tokenizer.token_to_id("<image>"),
        image_grid_pinpoints=NEXT_PINPOINTS,
        image_seq_length=49,
    )
    return LlavaNextForConditionalGeneration(config)


def build_video_llava(tokenizer: Tokenizer) -> PreTrainedModel:
    config = VideoLlavaConfig(
        vision_config=clip_vision(36),
        text_config=llama(tokenizer),
        image_token_index=tokenizer.token_to_id("<image>"),
        video_token_index=tokenizer.token_to_id("<video>"),
        image_seq_length=36,
        video_seq_length=296,
    )
    return VideoLlavaForConditionalGeneration(config)


def build_llava_onevision(tokenizer: Tokenizer) -> PreTrainedModel:
    """The published grid, 27 × 27, so that pooling to 14 × 14 meets the odd edge."""
    config = LlavaOnevisionConfig(
        vision_config=siglip_vision(54, 2, 3, vision_use_head=False),
        text_config=qwen(tokenizer),
        image_token_index=tokenizer.token_to_id("<image>"),
        video_token_index=tokenizer.token_to_id("<video>"),
        image_grid_pinpoints=[[54, 54], [54, 108], [108, 54], [108, 108]],
    )
    return LlavaOnevisionForConditionalGeneration(config)


def build_llava_siglip(tokenizer: Tokenizer, layers: int, feature_layer: int) -> PreTrainedModel:
    config = LlavaConfig(
        vision_config=siglip_vision(42, 6, layers, vision_use_head=False),
        text_config=qwen(tokenizer),
        image_token_index=tokenizer.token_to_id("<image>"),
        image_seq_length=49,
        vision_feature_layer=feature_layer,
        vision_feature_select_strategy="full",
    )
    return LlavaForConditionalGeneration(config)


def build_smolvlm(tokenizer: Tokenizer) -> PreTrainedModel:
    """A grid of 16 × 16 patches, four by four of which make a token."""
    config = SmolVLMConfig(
        vision_config=siglip_vision(32, 2, 2, SmolVLMVisionConfig),
        text_config=smol(tokenizer),
        image_token_id=tokenizer.token_to_id("<image>"),
        scale_factor=4,
    )
    return SmolVLMForConditionalGeneration(config)


def build_idefics3(tokenizer: Tokenizer) -> PreTrainedModel:
    """A grid of 8 × 8 patches, two by two of which make a token."""
    config = Idefics3Config(
        vision_config=siglip_vision(16, 2, 2, Idefics3VisionConfig),
        text_config=smol(tokenizer, layers=1),
        image_token_id=tokenizer.token_to_id("<image>"),
        scale_factor=2,
    )
    return Idefics3ForConditionalGeneration(config)


def build_fast_vlm(tokenizer: Tokenizer) -> PreTrainedModel:
    """FastViTHD in small: stages of RepMixers and of attention, as trained models are published, in inference mode."""
    tower = TimmWrapperConfig(
        architecture="fastvit_mci3",
        model_args={
            "inference_mode": True,
            "layers": [1, 1, 1, 1, 1],
            "embed_dims": [8, 8, 8, 32, 32],  # a head has 32
            "mlp_ratios": [2, 2, 2, 2, 2],
            "downsamples": [False, False, False, True, False],
        },
        hidden_size=64,  # the convolution at the end doubles them
        id2label={},
        label2id={},
    )
    config = FastVlmConfig(
        vision_config=tower,
        text_config=qwen(tokenizer),
        image_token_index=tokenizer.token_to_id("<image>"),
        image_seq_length=49,
    )
    return FastVlmForConditionalGeneration(config)


def is_norm(name: str) -> bool:
    return "norm" in name or ".bn." in name


def spread(name: str, p: nn.Parameter) -> float:
    """The standard deviation to draw a weight with: signals keep their size, attention is far from flat."""
    tower = "vision" in name or "_tower" in name
    if is_norm(name) or p.ndim == 1 and "bias" in name:
        # A large bias of the queries makes some keys liked by all of them: SigLIP's score needs that.
        return 0.7 if tower and "q_proj.bias" in name else 0.1
    if p.ndim == 1 or "embed_tokens" in name:
        return 1.0
    if "position_embedding" in name:
        return 0.5
    fan_in = p[0].numel()
    gain = 1.8 if any(part in name for part in ("q_proj", "k_proj", "qkv")) else 2.5 if "lm_head" in name else 1.0
    if "timm_model" in name and p.ndim == 4:
        gain = 1.25  # else what the pixels say is lost on the way, and zeros at the edges decide
    return gain * fan_in**-0.5


@torch.no_grad()
def draw_weights(model: PreTrainedModel, seed: int, never: list[int]) -> None:
    """`never`: ids of special tokens, which the head is to keep out of its answers."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        p.copy_(torch.randn(p.shape, generator=generator) * spread(name, p))
        if is_norm(name) and name.endswith("weight"):
            p.add_(1)
    for name, p in sorted(model.named_buffers()):  # what a batch norm saw
        if name.endswith("running_mean"):
            p.copy_(torch.randn(p.shape, generator=generator) * 0.3)
        elif name.endswith("running_var"):
            p.copy_(torch.rand(p.shape, generator=generator) + 0.5)
    model.lm_head.weight[never] *= 0.05
