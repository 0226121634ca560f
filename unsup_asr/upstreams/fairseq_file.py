"""Checkpoint files of fairseq: wav2vec 2.0, XLSR and HuBERT, run by transformers' networks.

Most of the architecture is in the weights' shapes; what is not (strides, attention heads, where
the layer norms stand, whether waveforms are normalised) is in the options that fairseq stores
beside them. fairseq reads layer n as the output of block n after its residual connection, as
transformers does; its blocks count from 0, ours from 1.
"""

# Axes: B batch, N samples, T frames, D dims.

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from unsup_asr.upstreams.checkpoint import optional_package
from unsup_asr.upstreams.inert_pickle import plain, read_pickled
from unsup_asr.upstreams.transformers_hub import TransformersNetwork

_PREFIXES = ("w2v_encoder.w2v_model.", "encoder.w2v_model.", "w2v_model.", "")
# Used in pre-training, or by the head of a fine-tuned model, alone.
_UNUSED = re.compile(
    r"(quantizer|project_q|final_proj|project_inp|target_glu|label_embs_concat|proj\.|w2v_encoder\.proj"
    r"|input_quantizer|layer_norm_q|_ema)"
)
_BLOCK = re.compile(r"encoder\.layers\.(\d+)\.(.+)")
_CONVOLUTION = re.compile(r"feature_extractor\.conv_layers\.(\d+)\.(.+)")
_NORMS = {"2.weight", "2.bias", "2.1.weight", "2.1.bias"}
_IN_A_BLOCK = {
    "self_attn.q_proj": "attention.q_proj",
    "self_attn.k_proj": "attention.k_proj",
    "self_attn.v_proj": "attention.v_proj",
    "self_attn.out_proj": "attention.out_proj",
    "self_attn_layer_norm": "layer_norm",
    "fc1": "feed_forward.intermediate_dense",
    "fc2": "feed_forward.output_dense",
    "final_layer_norm": "final_layer_norm",
}
_OUTSIDE = {
    "layer_norm.weight": "feature_projection.layer_norm.weight",
    "layer_norm.bias": "feature_projection.layer_norm.bias",
    "post_extract_proj.weight": "feature_projection.projection.weight",
    "post_extract_proj.bias": "feature_projection.projection.bias",
    "encoder.layer_norm.weight": "encoder.layer_norm.weight",
    "encoder.layer_norm.bias": "encoder.layer_norm.bias",
    "encoder.pos_conv.0.bias": "encoder.pos_conv_embed.conv.bias",
    "encoder.pos_conv.0.weight_g": "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
    "encoder.pos_conv.0.weight_v": "encoder.pos_conv_embed.conv.parametrizations.weight.original1",
    "mask_emb": "masked_spec_embed",
}
_USUAL_CONVOLUTIONS = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2"


@dataclass(kw_only=True)
class FairseqUpstream(TransformersNetwork):
    """`checkpoint` is a `.pt` file that fairseq wrote: pre-trained, or fine-tuned with CTC.

    ValueError for a file that holds another network, lacks weights or options, or names classes
    that no checkpoint of this kind has: nothing in it is run.
    """

    checkpoint: str | None = None
    sample_rate: int = field(init=False, default=16000)

    def __post_init__(self) -> None:
        super().__post_init__()
        (path,) = self.weight_files()
        self._config, does_normalise = _read_description(path)
        if self.normalize_waveform is None:
            self.normalize_waveform = does_normalise
        self._describe()

    def weight_files(self) -> list[Path]:
        """The one file."""
        if self.checkpoint is None:
            raise ValueError(
                "checkpoint is not given; expected a .pt file of fairseq, such as "
                "wav2vec_vox_new.pt (github.com/facebookresearch/fairseq, examples/wav2vec)"
            )
        path = Path(self.checkpoint)
        if not path.is_file():
            raise ValueError(f"{path}: no such file; checkpoint is a .pt file that fairseq wrote")
        return [path]

    def pretrained(self, config: Any) -> nn.Module:
        """The file's network; ValueError for weights that are missing or of another network."""
        (path,) = self.weight_files()
        transformers = optional_package("transformers", extra="transformers")
        weights = _renamed(path, _weights(path, read_pickled(path)))
        network = transformers.Wav2Vec2Model(config)  # HuBERT's network is the same
        expected = network.state_dict()
        missing = sorted(set(expected) - set(weights) - {"masked_spec_embed"})
        if missing:
            raise ValueError(
                f"{path}: {len(missing)} weights are missing (first: {missing[0]!r} of "
                "transformers' network); the file is damaged or of another network"
            )
        wrong = [
            k
            for k, tensor in weights.items()
            if k in expected and tensor.shape != expected[k].shape
        ]
        unknown = sorted(set(weights) - set(expected))
        if wrong or unknown:
            name = (wrong or unknown)[0]
            raise ValueError(
                f"{path}: {name!r} has no place in the network: no wav2vec 2.0, XLSR or HuBERT "
                "as published"
            )
        network.load_state_dict(weights, strict=False)
        return network


def _read_description(path: Path) -> tuple[Any, bool]:
    """transformers' config of the network, and whether it reads normalised waveforms."""
    state = read_pickled(path)
    weights = _weights(path, state)
    options = _options(state)
    missing = [k for k in ("layer_norm_first", "encoder_attention_heads") if k not in options]
    does_normalise = options.get("normalize")
    if missing or not isinstance(does_normalise, bool):
        raise ValueError(
            f"{path}: fairseq's options lack {(missing or ['normalize'])[0]!r}, without which the "
            "network is not known; expected a file that holds `cfg` or `args` beside `model`"
        )
    transformers = optional_package("transformers", extra="transformers")
    layers = _convolutions(path, options, weights)
    position = _need(path, weights, "encoder.pos_conv.0.weight_v")
    dim = len(_need(path, weights, "encoder.pos_conv.0.bias"))
    number = 1 + max(int(m[1]) for m in map(_BLOCK.match, weights) if m)
    norms = [name for name in weights if re.search(r"conv_layers\.\d+\.2\.1\.weight$", name)]
    config = transformers.Wav2Vec2Config(
        hidden_size=dim,
        num_hidden_layers=number,
        num_attention_heads=int(options["encoder_attention_heads"]),
        intermediate_size=len(_need(path, weights, "encoder.layers.0.fc1.weight")),
        conv_dim=[channels for channels, _, _ in layers],
        conv_kernel=[kernel for _, kernel, _ in layers],
        conv_stride=[stride for _, _, stride in layers],
        conv_bias=any(name.endswith("conv_layers.0.0.bias") for name in weights),
        feat_extract_norm="layer" if norms else "group",
        num_conv_pos_embeddings=position.shape[2],
        num_conv_pos_embedding_groups=dim // position.shape[1],
        do_stable_layer_norm=bool(options["layer_norm_first"]),
        hidden_act=str(options.get("activation_fn", "gelu")),
    )
    return config, does_normalise


def _weights(path: Path, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """fairseq's names of the encoder's weights, without what stands before them."""
    found = state.get("model")
    if not isinstance(found, dict) or not all(isinstance(x, Tensor) for x in found.values()):
        raise ValueError(
            f"{path}: no weights under 'model'; expected a checkpoint that fairseq wrote, with "
            f"'model' and 'cfg' or 'args' (found: {', '.join(map(str, list(state)[:5]))})"
        )
    for prefix in _PREFIXES:
        if f"{prefix}post_extract_proj.weight" in found:
            inside = {k.removeprefix(prefix): x for k, x in found.items() if k.startswith(prefix)}
            return {k: x for k, x in inside.items() if not _UNUSED.match(k)}
    raise ValueError(
        f"{path}: 'model' has no post_extract_proj.weight: not wav2vec 2.0, XLSR or HuBERT (its "
        f"weights begin with {', '.join(map(str, list(found)[:3]))})"
    )


def _options(state: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the pre-trained network, flat: those of the model over those of its task."""
    args, cfg = plain(state.get("args")), plain(state.get("cfg"))
    levels: list[dict[str, Any]] = []
    for source in (args, cfg):
        if not isinstance(source, dict):
            continue
        parts = [source, *(source.get(name) for name in ("task", "model"))]
        levels += [part for part in parts if isinstance(part, dict)]
        fine_tuned = next(
            (p["w2v_args"] for p in levels if isinstance(p.get("w2v_args"), dict)), None
        )
        if fine_tuned is not None:  # a fine-tuned model keeps those of what it began with
            levels += [fine_tuned, *(fine_tuned.get(name) for name in ("task", "model"))]
    found: dict[str, Any] = {}
    for level in levels:
        if isinstance(level, dict):
            found.update({k: v for k, v in level.items() if v is not None})
    return found


def _convolutions(
    path: Path, options: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> list[tuple[int, int, int]]:
    """Channels, kernel and stride of each convolution: strides from the options' text."""
    text = str(options.get("conv_feature_layers", _USUAL_CONVOLUTIONS))
    try:
        layers = _evaluated(ast.parse(text, mode="eval").body)
    except (ValueError, SyntaxError, TypeError) as error:
        raise ValueError(
            f"{path}: conv_feature_layers is {text!r}; expected a sum of lists"
        ) from error
    kernels = [
        tuple(_need(path, weights, f"feature_extractor.conv_layers.{i}.0.weight").shape)
        for i in range(len(layers))
    ]
    if [(k[0], k[2]) for k in kernels] != [(c, kernel) for c, kernel, _ in layers]:
        raise ValueError(f"{path}: conv_feature_layers is {text!r}, the weights are of other sizes")
    return layers


def _evaluated(node: ast.expr) -> Any:
    """A sum of lists of triples, some times a number: what fairseq evaluates as Python."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _evaluated(node.left) + _evaluated(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = _evaluated(node.left), _evaluated(node.right)
        if not isinstance(left, list) or not isinstance(right, int) or right > 100:
            raise ValueError("a list times a small number was expected")
        return left * right
    return ast.literal_eval(node)


def _need(path: Path, weights: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in weights:
        raise ValueError(f"{path}: the weight {name!r} is missing; the file is damaged")
    return weights[name]


def _renamed(path: Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights by transformers' names."""
    return {_new_name(name): tensor for name, tensor in weights.items()}


def _new_name(name: str) -> str:
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    if found := _BLOCK.match(name):
        part, _, kind = found[2].rpartition(".")
        if part in _IN_A_BLOCK:
            return f"encoder.layers.{found[1]}.{_IN_A_BLOCK[part]}.{kind}"
    if found := _CONVOLUTION.match(name):
        kind = found[2].rpartition(".")[2]
        inner = "layer_norm" if found[2] in _NORMS else "conv"
        return f"feature_extractor.conv_layers.{found[1]}.{inner}.{kind}"
    return name
