"""What diffusers and transformers want to know beside weights, from a model of ours (on meta will do)."""

from torch import nn

from ldm.modules.encoders.modules import FrozenOpenCLIPEmbedder
from ldm.modules.encoders.tokenizer import byte_pair_encoder

PREDICTIONS = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}
PIPELINE = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "scheduler": ("diffusers", "DDIMScheduler"),
    "controlnet": ("diffusers", "ControlNetModel"),
}
ABSENT = ("feature_extractor", "image_encoder", "safety_checker")


def encoder_config(network):
    """What U-Net and control branch have in common."""
    widths = [mult * network.model_channels for mult in network.channel_mult]
    attends = [2**level in network.attention_resolutions for level in range(len(widths))]
    by_width = [width // network.num_head_channels for width in widths]
    return dict(
        in_channels=network.in_channels,
        block_out_channels=widths,
        down_block_types=["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends],
        layers_per_block=network.num_res_blocks,
        cross_attention_dim=network.transformer_options["context_dim"],
        # diffusers means the number of heads by this name
        attention_head_dim=by_width if network.num_heads == -1 else network.num_heads,
        use_linear_projection=network.transformer_options["use_linear"],
        transformer_layers_per_block=network.transformer_options["depth"],
    )


def control_config(model):
    return dict(
        _class_name="ControlNetModel",
        conditioning_channels=model.control_model.hint_channels,
        controlnet_conditioning_channel_order="rgb",
        **encoder_config(model.control_model),
    )


def unet_config(model):
    network = model.model.diffusion_model
    config = encoder_config(network)
    down = reversed(config["down_block_types"])
    return dict(
        _class_name="UNet2DConditionModel",
        sample_size=model.image_size,
        out_channels=network.out[-1].out_channels,
        up_block_types=[{"DownBlock2D": "UpBlock2D"}.get(block, "CrossAttnUpBlock2D") for block in down],
        **config,
    )


def vae_config(model):
    encoder, decoder = model.first_stage_model.encoder, model.first_stage_model.decoder
    num_levels, channels = len(encoder.down), decoder.conv_in.in_channels
    if model.first_stage_model.embed_dim != channels:
        raise ValueError("diffusers has no autoencoder whose embed_dim differs from its z_channels")
    return dict(
        _class_name="AutoencoderKL",
        in_channels=encoder.conv_in.in_channels,
        out_channels=decoder.conv_out.out_channels,
        latent_channels=channels,
        block_out_channels=[level.block[-1].conv2.out_channels for level in encoder.down],
        down_block_types=["DownEncoderBlock2D"] * num_levels,
        up_block_types=["UpDecoderBlock2D"] * num_levels,
        layers_per_block=len(encoder.down[0].block),
        norm_num_groups=encoder.norm_out.num_groups,
        sample_size=model.image_size * 2 ** (num_levels - 1),
        scaling_factor=model.scale_factor,
    )


def text_config(model):
    """Sizes of the tower; SD2 runs all layers but the last, so that transformers gets one layer less."""
    encoder = model.cond_stage_model
    if isinstance(encoder, FrozenOpenCLIPEmbedder):
        embedding, blocks = encoder.model.token_embedding, encoder.model.transformer.resblocks
        num_layers, first = len(blocks) - encoder.num_skipped, blocks[0]
        hidden, heads = first.mlp.c_fc.out_features, first.attn.num_heads
        activation = "gelu" if isinstance(first.mlp.gelu, nn.GELU) else "quick_gelu"
    else:
        tower = encoder.transformer.text_model
        embedding, num_layers = tower.embeddings.token_embedding, len(tower.encoder["layers"])
        first = tower.encoder["layers"][0]
        hidden, heads, activation = first.mlp.fc1.out_features, first.self_attn.num_heads, "quick_gelu"
    vocab_size, width = embedding.weight.shape
    return dict(
        architectures=["CLIPTextModel"],
        model_type="clip_text_model",
        vocab_size=vocab_size,
        hidden_size=width,
        projection_dim=width,
        intermediate_size=hidden,
        num_hidden_layers=num_layers,
        num_attention_heads=heads,
        hidden_act=activation,
        max_position_embeddings=encoder.max_length,
        bos_token_id=vocab_size - 2,
        eos_token_id=vocab_size - 1,
        pad_token_id=encoder.tokenizer.padding,
    )


def scheduler_config(model, params, zero_terminal_snr=False):
    """DDIM on the noise schedule of the yaml's `params`, with the timesteps of ControlNet's demos."""
    return dict(
        _class_name="DDIMScheduler",
        beta_schedule="scaled_linear",
        beta_start=params.linear_start,
        beta_end=params.linear_end,
        num_train_timesteps=model.num_timesteps,
        prediction_type=PREDICTIONS[model.parameterization],
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing" if zero_terminal_snr else "leading",
        rescale_betas_zero_snr=zero_terminal_snr,
    )


def tokenizer_files(tokenizer):
    """File name -> content (a text, or a dict to be written as JSON) of a CLIPTokenizer's folder."""
    byte_pairs = byte_pair_encoder(tokenizer.vocab_size)
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")
    vocabulary = {
        token: i for token, i in byte_pairs.encoder.items() if i not in (tokenizer.start, tokenizer.end)
    }
    vocabulary |= {special["bos_token"]: tokenizer.start, special["eos_token"]: tokenizer.end}
    padding = next(token for token, i in vocabulary.items() if i == tokenizer.padding)
    options = dict(tokenizer_class="CLIPTokenizer", model_max_length=tokenizer.max_length, do_lower_case=True)
    return {
        "vocab.json": vocabulary,
        "merges.txt": "\n".join(["#version: 0.2", *map(" ".join, byte_pairs.bpe_ranks)]) + "\n",
        "tokenizer_config.json": {**options, **special, "pad_token": padding},
        "special_tokens_map.json": {**special, "pad_token": padding},
    }


def pipeline_index(parts):
    """model_index.json of a pipeline that has the given parts, a control branch among them or not."""
    name = "StableDiffusionControlNetPipeline" if "controlnet" in parts else "StableDiffusionPipeline"
    index = {part: PIPELINE[part] for part in parts}
    return {
        "_class_name": name,
        "requires_safety_checker": False,
        **index,
        **dict.fromkeys(ABSENT, (None, None)),
    }
