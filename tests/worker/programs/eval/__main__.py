"""Stands in for eval: scores that name the files they are of."""

import json
import sys
from pathlib import Path

ARGS = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
videos = {
    name.removeprefix("--"): Path(value).read_bytes().decode("latin-1") for name, value in ARGS.items() if name != "--out_json"
}
scores = {"psnr": 30.5, "fid": None, "details": videos}
Path(ARGS["--out_json"]).write_text(json.dumps(scores))
print(json.dumps(scores))
