"""Networks of the published layouts with weights made here, and the files that they come in."""

from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from eval import lse
from eval.cepstra import cepstra
from eval.clips import Clip
from eval.inception import Inception
from eval.lpips import Lpips
from eval.syncnet import SyncNet
from media import ffmpeg


def randomised(network: nn.Module) -> nn.Module:
    """Batch normalisation that does something."""
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    return network.eval()


def inception_weights() -> dict[str, torch.Tensor]:
    """Of FID's network, 566 tensors as published, its unused classifier included; its features differ from frame to frame."""
    torch.manual_seed(0)
    made = Inception()
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return {**randomised(made).state_dict(), "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


def save_syncnet(folder: Path, network: nn.Module | None = None) -> Path:
    """syncnet_v2.model as published: 88 entries, in torch's old format. Returns the folder."""
    if network is None:
        torch.manual_seed(0)
        network = randomised(SyncNet())
    entries = OrderedDict((name, value) for name, value in network.state_dict().items() if "num_batches" not in name)
    torch.save(entries, folder / "syncnet_v2.model", _use_new_zipfile_serialization=False)
    return folder


def save_inception(folder: Path) -> Path:
    """FID's network under its published name."""
    torch.save(inception_weights(), folder / "pt_inception-2015-12-05-6726825d.pth")
    return folder


def save_alexnet(folder: Path) -> Path:
    """LPIPS's backbone under torchvision's names."""
    torch.manual_seed(0)
    entries = {f"features.{name}": value for name, value in Lpips().features.state_dict().items()}
    torch.save(entries, folder / "alexnet-owt-7be5be79.pth")
    return folder


def fitted_syncnet(clip: Clip) -> SyncNet:
    """A network to which this clip's pictures and sound, both 25 frames a second, are one: each window of either is embedded at
    about the same random place. Only the last layers know the clip, the rest is random.
    """
    torch.manual_seed(0)
    network = SyncNet()
    randomised(network).requires_grad_(False)
    frames = torch.from_numpy(np.stack(list(lse.pictures(clip.path))))
    heard = torch.from_numpy(cepstra(lse.sound(clip, clip.sound or 0)).astype(np.float32))
    count = len(frames) - 5
    with torch.inference_mode():
        volume = network.netcnnlip(frames.permute(3, 0, 1, 2)[None].float())[0, :, :count, 0, 0].T
        plane = network.netcnnaud(heard.unfold(0, 20, 4)[:count, None]).flatten(1)
    places = torch.randn(count, 1024) / 2
    for head, seen in ((network.netfclip, volume), (network.netfcaud, plane)):
        _fit(head[3], head[:3](seen.clone()), places)
    return network


def _fit(layer: nn.Linear, features: torch.Tensor, wanted: torch.Tensor) -> None:
    """Ridge regression, in as many dimensions as there are windows."""
    centre, middle = features.double().mean(0), wanted.double().mean(0)
    centred = features.double() - centre
    products = centred @ centred.T
    products += 0.01 * products.diagonal().mean() * torch.eye(len(products))
    weight = torch.linalg.solve(products, wanted.double() - middle).T @ centred
    layer.weight.data, layer.bias.data = weight.float(), (middle - weight @ centre).float()


def syncnet_pythons(path: Path, network: SyncNet, folder: Path) -> tuple[int, float, float]:
    """Offset, confidence and distance as SyncNetInstance.evaluate has them, with JPEG files and sound by the commands of its own
    script. Needs the fixture `reference`.
    """
    from SyncNetInstance import SyncNetInstance
    from SyncNetModel import S

    other = S(num_layers_in_fc_layers=1024)
    other.load_state_dict(network.state_dict())
    source = ["-y", "-i", str(path)]
    wav = ["-async", "1", "-ac", "1", "-vn", "-acodec", "pcm_s16le", "-ar", "16000"]
    for options in (["-threads", "1", "-f", "image2", str(folder / "%06d.jpg")], [*wav, str(folder / "audio.wav")]):
        done = ffmpeg.run([*source, *options])
        assert done.code == 0, done.stderr
    options = SimpleNamespace(tmp_dir=str(folder), batch_size=20, vshift=15)
    offset, confidence, distance = SyncNetInstance(other.eval(), device="cpu").evaluate(options)
    return offset, confidence, distance
