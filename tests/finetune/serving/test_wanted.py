"""What is said where there is no model to serve."""

import shutil
from pathlib import Path

from toys import Command

from finetune import runs
from finetune.serving import wanted


def refusal(finetune: Command, model: Path | str) -> str:
    code, out, err = finetune("serve", model)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err.removeprefix("finetune: ")


def make_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    facts = {"config_sha256": "", "dataset": "", "dataset_sha256": "", "recipe": ""}
    runs.write_facts(folder, runs.Facts(status="unfinished", **facts))
    return folder


def test_a_dataset_is_to_be_learnt_from_first(finetune: Command, toy_dataset: Path) -> None:
    mend = f"train a student on it (`finetune train {toy_dataset} --out RUN`) and give RUN"
    assert refusal(finetune, toy_dataset) == f"{toy_dataset}: is a dataset, not {wanted.WANTED}; {mend}\n"


def test_a_run_without_its_student_is_to_be_finished(finetune: Command, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert "training is not finished; run the same `finetune train` command again" in refusal(finetune, run)


def test_a_part_of_a_run_names_the_run(finetune: Command, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for part in ("adapter", "checkpoints"):
        (run / part).mkdir()
        (run / "adapter" / "adapter_config.json").write_text("{}")
        assert refusal(finetune, run / part) == f"{run / part}: is a part of a run; give the run's folder, {run}\n"


def test_an_adapter_alone_is_to_be_merged(finetune: Command, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "holds an adapter, not a whole model; run `finetune export" in refusal(finetune, tmp_path)


def test_a_folder_with_runs_in_it_names_them(finetune: Command, tmp_path: Path, tiny_folder: Path) -> None:
    for name in ("b", "a", "d"):
        make_run(tmp_path / name)
    (tmp_path / "notes").mkdir()
    shutil.copytree(tiny_folder, tmp_path / "c")
    said = refusal(finetune, tmp_path)
    assert said.endswith(f"give one that is in it: {tmp_path / 'a'}, {tmp_path / 'b'}, {tmp_path / 'c'}, …\n")


def test_an_empty_folder_and_one_of_something_else_say_what_is_wanted(finetune: Command, tmp_path: Path) -> None:
    assert refusal(finetune, tmp_path) == f"{tmp_path}: is an empty folder; give {wanted.WANTED}\n"
    (tmp_path / "cat.png").write_bytes(b"")
    assert refusal(finetune, tmp_path) == f"{tmp_path}: holds no config.json of a model; give {wanted.WANTED}\n"


def test_a_path_with_a_typo_names_the_folder_that_is_near(finetune: Command, tmp_path: Path) -> None:
    make_run(tmp_path / "student")
    said = refusal(finetune, tmp_path / "studnet")
    assert "studnet: neither a local folder nor a loadable hub id (no such folder)" in said
    assert said.endswith(f"; give {wanted.WANTED}; did you mean student?\n")


def test_a_model_without_its_weights_is_not_called_a_missing_folder(
    finetune: Command, tmp_path: Path, tiny_folder: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    said = refusal(finetune, folder)
    assert said.startswith(f"{folder}: cannot be loaded (")
    assert "neither" not in said
