"""README's commands, each with the test that runs it (``file::function``). A command that is not here fails the contract."""

from __future__ import annotations

JOURNEY = "tests/e2e/test_journey.py"

TESTED_BY: dict[str, str] = {
    "make up": f"{JOURNEY}::test_up_again_changes_nothing",
    "make test": f"{JOURNEY}::test_make_test_runs_the_phases_of_a_checkout",
    "curl -i http://127.0.0.1:8080/iris/predict -H 'content-type: application/json' "
    '-d \'{"rows": [{"sepal_length_cm": 5.1, "sepal_width_cm": 3.5, "petal_length_cm": 1.4, "petal_width_cm": 0.2}]}\'': (
        f"{JOURNEY}::test_the_readme_s_request_is_answered_by_release_1"
    ),
    "make release MODEL=iris": f"{JOURNEY}::test_a_release_tells_its_steps_and_nothing_new_makes_nothing",
    "make preview": f"{JOURNEY}::test_the_preview_shows_the_evidence_beside_the_number",
    "make promote MODEL=iris RELEASE=2": f"{JOURNEY}::test_promote_and_go_back",
    "make promote MODEL=iris RELEASE=1": f"{JOURNEY}::test_promote_and_go_back",
    "make status": f"{JOURNEY}::test_status_and_logs",
    "make logs": f"{JOURNEY}::test_status_and_logs",
    "make cluster": "tests/cluster/test_by_make.py::test_make_cluster_again_changes_nothing",
    "make up STACK=cluster": "tests/cluster/test_by_make.py::test_up_says_where_and_its_request_is_answered",
    "make promote MODEL=iris RELEASE=2 STACK=cluster": "tests/cluster/test_by_make.py::test_promote_status_logs_and_back",
    "make release MODEL=iris STACK=cluster": "tests/cluster/test_by_make.py::test_a_release_with_its_image_is_not_made_twice",
    "make cluster-down": "tests/cluster/test_without_trace.py::test_nothing_is_left_of_it",
    "make down": f"{JOURNEY}::test_down_ends_everything_and_keeps_the_releases",
}
