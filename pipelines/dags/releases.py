"""Airflow: a DAG for each model folder that makes its release, on its schedule and whenever its data is said to have arrived.

Airflow runs in an environment of its own (requirements/airflow.txt) and reads this file from its folder of DAGs: ``make airflow``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, BaseOperator, CronTriggerTimetable, Param, chain
from airflow.sdk.exceptions import AirflowException, AirflowFailException

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from pipelines import orchestrated  # noqa: E402
from pipelines.steps import STEPS  # noqa: E402

RETRIES = 2
"""Of a step that could not do its work. How long to wait in between is Airflow's own setting, ``default_task_retry_delay``."""
UNTIL = "{{ params.until or (dag_run.run_after | ds) }}"
"""One day for all steps of a run, so that a run over midnight takes one snapshot."""


class Step(BaseOperator):  # type: ignore[misc]
    """Runs a model's steps up to one; gives the release's number, if one stands by then. A gate that says no is not asked again."""

    template_fields = ("until", "stack")

    def __init__(self, *, model: str, until: str = UNTIL, stack: str = "{{ params.stack }}", **others: Any) -> None:
        super().__init__(**others)
        self.model, self.until, self.stack = model, until, stack
        self._hook = SubprocessHook()

    def execute(self, context: object) -> int | None:
        """Run the command, its lines going to the task's log."""
        del context
        command = orchestrated.command(str(ROOT), self.model, self.task_id, self.until, self.stack)
        ran = self._hook.run_command(command, cwd=str(ROOT))
        if ran.exit_code == 0:
            release: int | None = json.loads(ran.output)["release"]
            return release
        try:
            ended = json.loads(ran.output)
        except ValueError:
            raise AirflowException(f"step '{self.task_id}' of {self.model} ended with {ran.exit_code}: {ran.output}") from None
        words = "; ".join(str(ended[part]) for part in ("step", "where", "what", "got", "allowed", "act") if ended[part])
        raise (AirflowFailException if ended["gate"] else AirflowException)(words)

    def on_kill(self) -> None:
        """End the command and all that it started."""
        self._hook.send_sigterm()


def dag_of(model: str, folder: Path) -> Any:
    """The DAG of one model: the list of steps, one after the other."""
    data = Asset(f"{model}-data")
    cron = orchestrated.schedule_of(folder)
    dag = DAG(
        f"release-{model}",
        description=f"Make a release of {model}, unless nothing changed.",
        schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable(cron, timezone="UTC"), assets=[data]) if cron else [data],
        catchup=False,
        max_active_runs=1,
        default_args={"retries": RETRIES},
        params={
            "until": Param(None, type=["null", "string"], format="date", description="Take the batches up to this day (the run's own)."),
            "stack": Param("local", type="string", description="The stack that the release is for."),
        },
        tags=["release"],
    )
    chain(*(Step(task_id=step.name, model=model, dag=dag) for step in STEPS))
    return dag


for name, place in orchestrated.models(ROOT).items():
    globals()[f"release_{place.name}"] = dag_of(name, place)
