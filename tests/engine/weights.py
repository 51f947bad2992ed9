"""Makes weights of a few megabytes that a real SGLang serves on a CPU, with DeepSeek-R1's special tokens.

The network is a table. The hidden size is the size of the vocabulary and the embeddings are one-hot; what attention and
MLP add is multiplied by zero; so the logits depend on the last token alone, and the output matrix holds, for each token,
the probabilities of the next. The table makes the "model" think, close its thought, answer, sometimes call a tool, and
end: greedily always in the same words, at temperature 1 with lengths that vary.

usage: weights.py FOLDER qwen2|deepseek_v3
"""

import json
import math
import pathlib
import sys

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
THINK, THINK_END = "<think>", "</think>"
CALLS, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
OUTPUTS, OUTPUTS_END = "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>"
OUTPUT, OUTPUT_END = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"
SEPARATOR = "<｜tool▁sep｜>"

# The call that the model makes, in the format of R1 and V3. Its pieces are tokens of their own, since no token may
# occur twice in a sequence that a table of successors is to write.
CALL_PIECES = ["function", "get_weather", "\n```json\n", '{"city":', ' "Par', 'is"}', "\n```"]
# In R1's tokenizer, too, all of these but the three of the first group are tokens that decode to their text.
ADDED = [
    *(USER, ASSISTANT, THINK, THINK_END, CALLS, CALLS_END, CALL, CALL_END),
    *(OUTPUTS, OUTPUTS_END, OUTPUT, OUTPUT_END, SEPARATOR, *CALL_PIECES),
]

THOUGHT = "first the question asks about one number so we check".split()
ANSWER = "here is my result it comes from both parts".split()
# No word stands in two of these texts, or one would run into the other.
# Every token of the longest text lies on this ring, which is almost never left.
ENDLESS = "round around again onward further still more steps follow without any end".split()
# Prompts are made of these and of what is above; anything else is spelled in bytes.
OTHER = (
    "adding with care which gives exactly seven what holds and then try another way to be sure hello write a poem "
    "weather in paris tell me json schema list of words please how are you today long story"
).split()

# The whole vocabulary, its single bytes included; a multiple of 64, because kernels like it.
VOCABULARY = 1024
IMPOSSIBLE = 1e-9


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    words = [*THOUGHT, *ANSWER, *ENDLESS, *OTHER]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(ADDED),
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Each word follows a space, as in a text, and occurs often enough to become a token.
    tokenizer.train_from_iterator([f" {word}" for word in words for _ in range(20)], trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in ADDED])
    return tokenizer


class Table:
    """Probabilities of the next token, by the last one."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.rows = torch.full((VOCABULARY, VOCABULARY), 1.0 / VOCABULARY)

    def id(self, text):
        [found] = self.tokenizer.encode(text).ids
        return found

    def ids(self, text):
        return self.tokenizer.encode(text).ids

    def follow(self, token, successors):
        """Sets what follows a token: pairs of a token, or a list that shares the probability, and a probability."""
        row = torch.full((VOCABULARY,), IMPOSSIBLE)
        for tokens, probability in successors:
            several = tokens if isinstance(tokens, list) else [tokens]
            for each in several:
                row[each] += probability / len(several)
        self.rows[token] = row / row.sum()

    def chain(self, tokens):
        for token, successor in zip(tokens, tokens[1:]):
            self.follow(token, [(successor, 1)])


def make_table(tokenizer):
    table = Table(tokenizer)
    thought = [table.id(f" {word}") for word in THOUGHT]
    answer = [table.id(f" {word}") for word in ANSWER]
    endless = [table.id(f" {word}") for word in ENDLESS]
    end, think_end, line = table.id(EOS), table.id(THINK_END), table.id("\n")
    first_byte, *other_bytes = table.ids("中")

    # Whatever stands last in a prompt, a thought begins; only text behind a full stop or a tool's output never ends.
    for token in range(VOCABULARY):
        table.follow(token, [(thought[0], 0.6), (thought, 0.4)])
    table.follow(table.id(ASSISTANT), [(table.id(THINK), 1)])
    table.follow(table.id(THINK), [(line, 1)])
    for token, successor in zip(thought, [*thought[1:], think_end]):
        table.follow(token, [(successor, 0.6), (thought, 0.38), (think_end, 0.02)])
    table.follow(think_end, [(answer[0], 0.9), (table.id(CALLS), 0.1)])
    for token, successor in zip(answer, [*answer[1:], end]):
        table.follow(token, [(successor, 0.6), (answer, 0.33), (first_byte, 0.05), (end, 0.02)])
    # A character of three tokens stands in the middle of each greedy answer.
    middle = len(answer) // 2
    table.follow(answer[middle], [(first_byte, 1)])
    table.chain([first_byte, *other_bytes])
    table.follow(other_bytes[-1], [(answer[middle + 1], 0.6), (answer, 0.4)])
    pieces = [table.id(piece) for piece in CALL_PIECES]
    called, separator, *arguments = [pieces[0], table.id(SEPARATOR), *pieces[1:]]
    table.chain([table.id(CALLS), table.id(CALL), called, separator, *arguments, table.id(CALL_END), table.id(CALLS_END), end])
    for token, successor in zip(endless, [*endless[1:], endless[0]]):
        table.follow(token, [(successor, 0.7), (endless, 0.2999), (end, 0.0001)])
    for beginning in (table.id("."), table.id(OUTPUTS_END)):
        table.follow(beginning, [(endless[0], 1)])
    return table.rows


HEADS, LAYERS = 4, 2
ZEROED = ("o_proj", "down_proj")


class Weights(dict):
    """Tensors by name. Those whose product reaches the residual stream are zero, the rest is noise."""

    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(1)

    def matrix(self, name, rows, columns):
        noise = torch.randn(rows, columns, generator=self.generator) * 0.02
        self[f"{name}.weight"] = torch.zeros(rows, columns) if name.endswith(ZEROED) else noise

    def norm(self, name, size):
        self[f"{name}.weight"] = torch.ones(size)

    def mlp(self, name, size):
        for part in ("gate_proj", "up_proj"):
            self.matrix(f"{name}.{part}", size, VOCABULARY)
        self.matrix(f"{name}.down_proj", VOCABULARY, size)


def shared_config(tokenizer):
    return {
        "hidden_act": "silu",
        "hidden_size": VOCABULARY,
        "vocab_size": VOCABULARY,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": 163_840,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": tokenizer.token_to_id(BOS),
        "eos_token_id": tokenizer.token_to_id(EOS),
    }


def qwen2(weights):
    """A dense network with grouped-query attention."""
    size, groups, inner = VOCABULARY // HEADS, 2, 128
    for layer in range(LAYERS):
        attention = f"model.layers.{layer}.self_attn"
        for part, heads in (("q_proj", HEADS), ("k_proj", groups), ("v_proj", groups)):
            weights.matrix(f"{attention}.{part}", heads * size, VOCABULARY)
            weights[f"{attention}.{part}.bias"] = torch.zeros(heads * size)
        weights.matrix(f"{attention}.o_proj", VOCABULARY, HEADS * size)
        weights.mlp(f"model.layers.{layer}.mlp", inner)
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "intermediate_size": inner,
        "num_key_value_heads": groups,
        "head_dim": size,
        "use_sliding_window": False,
    }


def deepseek_v3(weights):
    """Multi-head latent attention, and a mixture of experts in the second layer."""
    query_rank, latent, plain, rotary, value = 96, 512, 128, 64, 128
    inner, expert, experts = 256, 128, 8
    for layer in range(LAYERS):
        attention = f"model.layers.{layer}.self_attn"
        weights.matrix(f"{attention}.q_a_proj", query_rank, VOCABULARY)
        weights.norm(f"{attention}.q_a_layernorm", query_rank)
        weights.matrix(f"{attention}.q_b_proj", HEADS * (plain + rotary), query_rank)
        weights.matrix(f"{attention}.kv_a_proj_with_mqa", latent + rotary, VOCABULARY)
        weights.norm(f"{attention}.kv_a_layernorm", latent)
        weights.matrix(f"{attention}.kv_b_proj", HEADS * (plain + value), latent)
        weights.matrix(f"{attention}.o_proj", VOCABULARY, HEADS * value)
        mlp = f"model.layers.{layer}.mlp"
        if layer == 0:
            weights.mlp(mlp, inner)
            continue
        weights.matrix(f"{mlp}.gate", experts, VOCABULARY)
        weights[f"{mlp}.gate.e_score_correction_bias"] = torch.zeros(experts)
        for name in [*(f"experts.{index}" for index in range(experts)), "shared_experts"]:
            weights.mlp(f"{mlp}.{name}", expert)
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "intermediate_size": inner,
        "num_key_value_heads": HEADS,
        "q_lora_rank": query_rank,
        "kv_lora_rank": latent,
        "qk_nope_head_dim": plain,
        "qk_rope_head_dim": rotary,
        "v_head_dim": value,
        "attention_bias": False,
        "moe_intermediate_size": expert,
        "n_routed_experts": experts,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "n_group": 2,
        "topk_group": 1,
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "first_k_dense_replace": 1,
        "moe_layer_freq": 1,
        "num_nextn_predict_layers": 0,
        "ep_size": 1,
        "rope_scaling": {
            "type": "yarn",
            "factor": 40,
            "original_max_position_embeddings": 4096,
            "beta_fast": 32,
            "beta_slow": 1,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
        },
    }


def main(folder, architecture):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    weights = Weights()
    config = shared_config(tokenizer) | {"qwen2": qwen2, "deepseek_v3": deepseek_v3}[architecture](weights)
    for layer in range(LAYERS):
        weights.norm(f"model.layers.{layer}.input_layernorm", VOCABULARY)
        weights.norm(f"model.layers.{layer}.post_attention_layernorm", VOCABULARY)
    weights.norm("model.norm", VOCABULARY)
    weights["model.embed_tokens.weight"] = torch.eye(VOCABULARY)
    # The norm turns a one-hot vector into one of length √VOCABULARY.
    weights["lm_head.weight"] = make_table(tokenizer).log().T / math.sqrt(VOCABULARY)
    tensors = {
        # The router's correction stays in single precision, as in DeepSeek's checkpoints.
        name: (tensor if name.endswith("correction_bias") else tensor.to(torch.bfloat16)).contiguous()
        for name, tensor in weights.items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", config)
    ends = {"bos_token_id": config["bos_token_id"], "eos_token_id": config["eos_token_id"]}
    write_json(folder / "generation_config.json", ends | {"do_sample": True, "temperature": 0.6, "top_p": 0.95})
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": EOS,
            "pad_token": PAD,
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
            "chat_template": (HERE / "tool_chat_template_deepseekr1.jinja").read_text(),
        },
    )


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
