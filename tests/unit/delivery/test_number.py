"""The edit changes one number and not a character more."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import ConfigError
from pipelines.number import replace_champion

TEXT = """\
# who approves: the platform team
config:
  mldelivery:target: local
  mldelivery:models:
    digits: {champion: 1, replicas: 2}  # another model
    iris:
      replicas: 1
      champion:   1   # promoted by hand
      rollout: {steps: [1, 10]}
"""


def folder(tmp_path: Path, text: str = TEXT) -> Path:
    (tmp_path / "Pulumi.local.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_only_the_number_changes(tmp_path: Path) -> None:
    replace_champion(folder(tmp_path), "local", "iris", expected=1, number=12)
    assert (tmp_path / "Pulumi.local.yaml").read_text(encoding="utf-8") == TEXT.replace("champion:   1   #", "champion:   12   #")
    assert [path.name for path in tmp_path.iterdir()] == ["Pulumi.local.yaml"]


def test_the_same_edit_in_reverse_gives_the_same_file(tmp_path: Path) -> None:
    replace_champion(folder(tmp_path), "local", "digits", expected=1, number=None)
    replace_champion(tmp_path, "local", "digits", expected=None, number=1)
    assert (tmp_path / "Pulumi.local.yaml").read_text(encoding="utf-8") == TEXT


def test_somebody_elses_edit_is_never_written_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="changed by someone else"):
        replace_champion(folder(tmp_path, TEXT.replace("champion:   1", "champion:   3")), "local", "iris", expected=1, number=2)
    assert "champion:   3" in (tmp_path / "Pulumi.local.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["config: {}\n", TEXT.replace("champion:   1", "champion: [1]"), TEXT.replace("iris:", "iras:")])
def test_a_model_without_a_plain_number_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"models\.iris\.champion"):
        replace_champion(folder(tmp_path, text), "local", "iris", expected=1, number=2)
