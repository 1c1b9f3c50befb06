"""Makes the reference pages that follow from the sources: `python docs/generate.py`. A test says when one is stale."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / "docs/reference/configuration.md"

_SIGNS = re.compile(r"(Secret[,.] )?(\[fixed\]\.? )?")
"""How a description in Pulumi.yaml begins: `Secret. `, `[fixed] `, `Secret, [fixed]. ` or neither."""
_SHOWN = {"[fixed]": "**Fixed**", "Secret": "**Secret**"}
_HEAD = """\
# Configuration

Made from `Pulumi.yaml` by `python docs/generate.py`; change it there.

Set a key with `pulumi config set KEY VALUE --stack STACK`, a part of an object with `--path 'KEY.PART'`, and a secret
with `--secret`. `tts init` writes what can be made by chance. All mistakes are reported at once, before anything
changes.

**Fixed** keys cannot change after the first deployment: the change would replace something that holds data. **Secret**
keys are refused unless they are encrypted.
"""


def configuration(project: dict[str, Any]) -> str:
    """The page on every key of the project's own namespace: first a table, then each key."""
    keys = {key: entry for key, entry in project["config"].items() if ":" not in key}
    rows = [f"| [`{key}`](#{key.lower()}) | {_type(entry)} | {_marks(entry)} |" for key, entry in keys.items()]
    table = "\n".join(["| Key | Type | |", "| --- | --- | --- |", *rows])
    return "\n".join([_HEAD, table, "", *(_section(key, entry) for key, entry in keys.items())])


def _section(key: str, entry: dict[str, Any]) -> str:
    marks, about = _marks(entry), _SIGNS.sub("", entry["description"], count=1)
    return f"## {key}\n\n{marks}{'. ' if marks else ''}{about}\n\n{_default(key, entry)}\n"


def _type(entry: dict[str, Any]) -> str:
    return f"list of {entry['items']['type']}s" if entry["type"] == "array" else entry["type"]


def _marks(entry: dict[str, Any]) -> str:
    signs = _SIGNS.match(entry["description"])
    return ", ".join(shown for sign, shown in _SHOWN.items() if signs and sign in signs[0])


def _default(key: str, entry: dict[str, Any]) -> str:
    default = entry["default"]
    if default in ("", [], {}):
        return "Default: none."
    if not isinstance(default, dict):
        return f"Default: `{str(default).lower() if isinstance(default, bool) else default}`."
    text = yaml.safe_dump({key: default}, sort_keys=False, default_flow_style=None, width=100)
    return f"Default:\n\n```yaml\n{text}```"


def main() -> None:
    """Write every page."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    CONFIGURATION.write_text(configuration(project), encoding="utf-8")


if __name__ == "__main__":
    main()
