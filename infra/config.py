"""A stack's config, typed and checked once: ``Pulumi.<stack>.yaml`` in, frozen dataclass-like models out.

Every default of the system stands here. What the engine hands to the program and what the command line reads from the file go through the
same ``parse``; ``load`` adds what only the file itself can show (duplicate keys, aliases, an empty file).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from infra.aws_config import AwsConfig
from infra.config_section import Section as _Section
from infra.errors import ConfigError
from infra.release import MODEL_NAME
from infra.rollout import NODE_SECONDS, Insufficient, Policy, Slo, Strategy

PROJECT = "mldelivery"
"""The Pulumi project; its config keys are ``mldelivery:<key>``."""

MAX_FILE_BYTES = 1_000_000


def _none_word(value: object) -> object:
    return None if value == "none" else value


def _refuse_none(value: object) -> object:
    if value is None:
        raise ValueError("say 'none' for no champion")
    return value


ReleaseNumber = Annotated[int, Field(gt=0, le=1_000_000)]
Champion = Annotated[ReleaseNumber | None, BeforeValidator(_none_word), BeforeValidator(_refuse_none)]


class SloConfig(_Section):
    """What a release owes its users."""

    error_rate: float = Field(0.01, ge=0, lt=1, description="Share of answers that may be 5xx.")
    p99_ms: float = Field(
        250,
        gt=0,
        le=60_000,
        description="99th percentile of latency at the gateway, milliseconds; of fewer than 100 requests the slowest but one.",
    )


class RolloutConfig(_Section):
    """How a new champion takes over."""

    strategy: Strategy = Field("canary", description="canary walks the steps; blue-green switches at once and watches the bake.")
    steps: list[Annotated[int, Field(gt=0, lt=100)]] = Field(
        [10, 50], max_length=20, description="Percent of traffic, ascending; 100 follows by itself."
    )
    step_seconds: float = Field(10, ge=0, le=86_400, description="How long each step is watched at least.")
    bake_seconds: float = Field(15, ge=0, le=86_400, description="How long the new champion is watched at 100 % before the old one ends.")
    minimum_sample: int = Field(50, ge=1, le=1_000_000, description="Requests that a verdict needs; fewer are never a pass.")
    insufficient: Insufficient = Field("probe", description="With too few users: probe with golden requests, hold the step, or abort.")
    hold_seconds: float = Field(600, ge=0, le=86_400, description="How long 'hold' waits for users before it goes back.")
    rollback_window: int = Field(3, ge=0, le=50, description="How many releases that served before may come back without steps.")

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: list[int]) -> list[int]:
        if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
            raise ValueError("steps must ascend, such as [10, 50]")
        return steps


class ChallengerConfig(_Section):
    """A release beside the champion: a share of live traffic, or a shadow copy of it whose answers nobody gets."""

    release: ReleaseNumber = Field(description="The number of the challenger's release.")
    share: int = Field(0, ge=0, le=50, description="Percent of live traffic that the challenger answers.")
    shadow: bool = Field(False, description="Send it a copy of the traffic instead; its answers are thrown away.")

    @model_validator(mode="after")
    def _does_something(self) -> ChallengerConfig:
        if self.shadow == (self.share > 0):
            raise ValueError("give either 'share' (1 to 50 percent) or 'shadow: true'")
        return self


class ResourcesConfig(_Section):
    """What a pod of a model asks for and may use at most. The local target does not limit its processes."""

    cpu_millis: int = Field(100, ge=10, le=64_000, description="Asked for, in thousandths of a core.")
    cpu_limit_millis: int = Field(1_000, ge=10, le=64_000, description="Used at most, in thousandths of a core.")
    memory_mib: int = Field(256, ge=64, le=1_048_576, description="Asked for and used at most, MiB: more than that ends the pod.")

    @model_validator(mode="after")
    def _limit_covers_request(self) -> ResourcesConfig:
        if self.cpu_limit_millis < self.cpu_millis:
            raise ValueError("cpu-limit-millis is below cpu-millis")
        return self


class AutoscaleConfig(_Section):
    """How far a cluster may add pods to a model's replicas."""

    maximum: int = Field(ge=2, le=500, description="Pods at most.")
    cpu_percent: int = Field(70, ge=10, le=100, description="Pods are added above this use of the CPU that they ask for.")


class ModelConfig(_Section):
    """One model of a stack."""

    champion: Champion = Field(description="The number of the release that answers, or none.")
    challenger: ChallengerConfig | None = None
    rollout: RolloutConfig = RolloutConfig()
    slo: SloConfig = SloConfig()
    replicas: int = Field(1, ge=1, le=100, description="Server processes (local) or pods (cluster) of each release.")
    resources: ResourcesConfig = ResourcesConfig()
    autoscale: AutoscaleConfig | None = None
    ready_seconds: float = Field(20, gt=0, le=600, description="How long a server may take until its first right prediction.")

    @model_validator(mode="after")
    def _can_scale(self) -> ModelConfig:
        if self.autoscale is not None and self.autoscale.maximum < self.replicas:
            raise ValueError("autoscale.maximum is below replicas")
        return self

    @model_validator(mode="after")
    def _challenger_differs(self) -> ModelConfig:
        if self.challenger is not None and self.champion is None:
            raise ValueError("a challenger needs a champion beside it")
        if self.challenger is not None and self.challenger.release == self.champion:
            raise ValueError("challenger and champion are the same release")
        return self

    def policy(self) -> Policy:
        """The rollout policy that this model's config states."""
        rollout = self.rollout
        return Policy(
            strategy=rollout.strategy,
            steps=tuple(rollout.steps),
            step_seconds=rollout.step_seconds,
            bake_seconds=rollout.bake_seconds,
            minimum_sample=rollout.minimum_sample,
            insufficient=rollout.insufficient,
            hold_seconds=rollout.hold_seconds,
            rollback_window=rollout.rollback_window,
            slo=Slo(error_rate=self.slo.error_rate, p99_ms=self.slo.p99_ms),
        )


Port = Annotated[int, Field(ge=1024, le=65_535)]
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Url = Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]
HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class PortsConfig(_Section):
    """Loopback ports of the local target."""

    gateway: Port = Field(8080, description="Where requests go: `http://127.0.0.1:<port>/<model>/predict`.")
    dashboard: Port = Field(8081, description="Traefik's dashboard, its API and the metrics that a rollout reads.")
    mlflow: Port = Field(5000, description="MLflow's web pages.")
    servers: Port = Field(8100, description="First of the ports for model servers; each takes the next free one of 900.")

    @model_validator(mode="after")
    def _distinct(self) -> PortsConfig:
        fixed = [self.gateway, self.dashboard, self.mlflow]
        if len(set(fixed)) < len(fixed) or any(self.servers <= port < self.servers + 900 for port in fixed):
            raise ValueError("gateway, dashboard, mlflow and the 900 ports from servers on must differ")
        return self


class ClusterGatewayConfig(_Section):
    """How users, and the rollout's own probes, reach Traefik in a cluster."""

    url: Url = Field(description="Where users reach the gateway, such as https://models.example.com.")
    entry_point: str = Field("websecure", description="Traefik's entry point for users; it speaks TLS.")
    tls_secret: DnsLabel | None = Field(None, description="Secret with the certificate; without one Traefik's default certificate is used.")
    ca: str | None = Field(
        None, description="Path from the root of the CA certificate by which clients know the gateway; else a public one."
    )
    internal_url: Url = Field(description="Where pods of the cluster reach the internal entry point, for probes.")
    internal_entry_point: str = Field("internal", description="Traefik's entry point that only pods of the cluster reach.")


class TrackingDatabaseConfig(_Section):
    """The PostgreSQL database that MLflow's server writes to."""

    host: HostName = Field(description="Where pods of the cluster reach it.")
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(5432, description="Its port.")
    name: str = Field("mlflow", pattern=r"^[a-z_][a-z0-9_-]{0,62}$", description="The database; it exists, and may be empty.")
    secret: DnsLabel = Field(description="Secret with its `username` and `password`.")
    ssl_mode: Literal["verify-full", "require", "disable"] = Field(
        "verify-full", description="As PostgreSQL's clients mean it: TLS with the host's name checked, TLS, or none."
    )
    ca_config_map: DnsLabel | None = Field(
        None, description="ConfigMap whose `ca.crt` signed the database's certificate; verify-full needs one."
    )

    @model_validator(mode="after")
    def _can_verify(self) -> TrackingDatabaseConfig:
        if (self.ssl_mode == "verify-full") != (self.ca_config_map is not None):
            raise ValueError("ssl-mode 'verify-full' needs a ca-config-map, and no other mode has one")
        return self


class ArtifactsConfig(_Section):
    """The S3 store that MLflow's server keeps artifacts in; clients reach it through the server only."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="The bucket; it exists.")
    endpoint: Url | None = Field(None, description="Where pods of the cluster reach the store; without one it is AWS's own.")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]{1,40}$", description="The bucket's region; in an environment on AWS its own.")
    secret: DnsLabel | None = Field(
        None,
        description="Secret with `access-key-id` and `secret-access-key`; without one the service account `mlflow` has its own rights.",
    )


class TrackingConfig(_Section):
    """MLflow's server in the cluster. Its Secrets are made by others, in its namespace, and are referred to by name alone."""

    url: str = Field(
        pattern=r"^https://[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9-]+)?$",
        description="Where people and pipelines reach it through the gateway: a host of its own, or a path on the gateway's.",
    )
    namespace: DnsLabel = Field(
        "mldelivery-tracking", description="Its namespace, which holds its Secrets and stays when the stack is taken down."
    )
    image: str | None = Field(
        None,
        pattern=r"^[a-z0-9._/-]+@sha256:[0-9a-f]{64}$",
        description="Its image below the registry, by digest; without one `make up` makes it of requirements/tracking.txt and pushes it.",
    )
    replicas: int = Field(1, ge=1, le=10, description="Pods.")
    memory_mib: int = Field(1_536, ge=768, le=1_048_576, description="What each pod asks for and uses at most, MiB.")
    users_secret: DnsLabel = Field(
        "mlflow-users",
        description="Secret with who may enter: type kubernetes.io/basic-auth for one account, or htpasswd lines under `users`.",
    )
    account: str | None = Field(
        None,
        description="Path from the root of a JSON file with the `username` and `password` by which commands here enter; "
        "else MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    )
    database: TrackingDatabaseConfig
    artifacts: ArtifactsConfig


class KubernetesConfig(_Section):
    """The cluster that a stack runs on, and what stands in it already."""

    kubeconfig: str | None = Field(
        None, description="Path of the kubeconfig from the repository's root; else KUBECONFIG, else ~/.kube/config."
    )
    context: str | None = Field(None, description="Context of the kubeconfig; else its current one.")
    namespace: DnsLabel = Field("mldelivery", description="Namespace of all that the stack makes; it is the stack's own.")
    platform: Literal["existing", "charts"] = Field(
        "existing", description="Argo Rollouts, Traefik and Prometheus stand there already, or are installed from their Helm charts."
    )
    registry: str = Field(
        pattern=r"^[a-z0-9.-]+(:\d+)?(/[a-z0-9._/-]+)?$",
        description="Where images are pushed to and pulled from, such as registry.example.com/models.",
    )
    prometheus: Url = Field(description="Where Argo Rollouts reaches the Prometheus that scrapes the gateway.")
    scrape_seconds: float = Field(1, gt=0, le=300, description="How often that Prometheus scrapes the gateway.")
    node_seconds: int = Field(
        NODE_SECONDS,
        ge=10,
        le=1_800,
        description="How long a pod may wait for a node and its image, before `ready-seconds`; 300 on AWS, which starts nodes for pods.",
    )
    public_key: str | None = Field(
        None,
        description="Path from the root of the public key that releases must be signed with; without one none is asked for.",
    )
    gateway: ClusterGatewayConfig
    tracking: TrackingConfig | None = None

    @model_validator(mode="after")
    def _tracking_has_its_own_namespace(self) -> KubernetesConfig:
        if self.tracking is not None and self.tracking.namespace == self.namespace:
            raise ValueError("tracking.namespace is the stack's own, and would go with it")
        return self


class StackConfig(_Section):
    """The whole config of a stack."""

    target: Literal["local", "kubernetes", "eks"] = Field(
        description="What the stack runs on: this machine, a cluster that exists, or an environment on AWS."
    )
    kubernetes: KubernetesConfig | None = None
    aws: AwsConfig | None = None
    releases: Literal["machine", "repository"] = Field(
        "repository",
        description="Where its release records lie: `.local/` of this machine (always so for the target local), or `releases/` in Git.",
    )
    models: dict[Annotated[str, Field(pattern=f"^{MODEL_NAME}$")], ModelConfig] = Field(max_length=500, description="What serves.")
    ports: PortsConfig = PortsConfig()

    @model_validator(mode="after")
    def _has_its_target(self) -> StackConfig:
        if self.target == "kubernetes" and self.kubernetes is None:
            raise ValueError("target 'kubernetes' needs a section 'kubernetes'")
        if self.target == "local" and self.kubernetes is not None:
            raise ValueError("target 'local' has no section 'kubernetes'")
        if (self.target == "eks") != (self.aws is not None):
            raise ValueError("target 'eks' needs a section 'aws', and no other target has one")
        if self.aws is not None and self.aws.cluster.compute == "elsewhere" and self.kubernetes is None:
            raise ValueError("aws.cluster.compute 'elsewhere' needs a section 'kubernetes' that names the cluster")
        return self

    def store(self, root: Path) -> Path:
        """The folder that holds this stack's release records and what they name, for a checkout at ``root``."""
        return root / ".local" if self.target == "local" or self.releases == "machine" else root


def file_name(stack: str) -> str:
    """Name of a stack's config file."""
    return f"Pulumi.{stack}.yaml"


def stack_name(file: str) -> str:
    """The stack that a config file is of."""
    return file.removeprefix("Pulumi.").removesuffix(".yaml")


def parse(values: Mapping[str, Any], *, file: str) -> StackConfig:
    """Check a stack's values (keys without the project's prefix).

    Raises ConfigError for the first value that does not fit, naming file, key, value and what is allowed.
    """
    try:
        if values.get("target") == "eks" and "aws" in values:
            values = {**values, "kubernetes": _on_aws(values)}
        return StackConfig.model_validate(values)
    except ValidationError as error:
        raise _first_problem(error, file) from None


AWS_NODE_SECONDS = 300
"""A machine is asked for, starts, joins the cluster and pulls an image of some hundred MB: one or two minutes, seldom more."""


def _on_aws(values: Mapping[str, Any]) -> Any:
    """The section ``kubernetes`` of an environment on AWS: what it says itself, and for all else what the environment makes.

    All of the platform comes from charts, so that its addresses are known.
    """
    given = values.get("kubernetes")
    try:
        aws = AwsConfig.model_validate(values["aws"])
    except ValidationError:
        # The section's own mistakes are told with those of the whole.
        return given
    if aws.cluster.compute == "elsewhere" or not isinstance(given, (Mapping, type(None))):
        return given
    platform = "mldelivery-platform.svc.cluster.local"
    made = {
        "kubeconfig": f".local/kubeconfig/{aws.cluster_name}",
        "platform": "charts",
        "registry": aws.registry_url,
        "prometheus": f"http://prometheus-server.{platform}",
        "node-seconds": AWS_NODE_SECONDS,
        "gateway": {"url": f"https://{aws.gateway.host}", "internal-url": f"http://traefik-internal.{platform}:8082"},
    }
    return {**made, **(given or {}), **_stored_in(aws.region, given or {})}


def _stored_in(region: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """MLflow's part of a section ``kubernetes``: its bucket is the environment's, and lies in its region, unless another is said."""
    tracking = given.get("tracking")
    if not isinstance(tracking, Mapping):
        return {}
    artifacts = tracking.get("artifacts")
    if not isinstance(artifacts, Mapping) or "endpoint" in artifacts:
        return {}
    return {"tracking": {**tracking, "artifacts": {"region": region, **artifacts}}}


def load(root: Path, stack: str) -> StackConfig:
    """Read and check ``Pulumi.<stack>.yaml``. Raises ConfigError."""
    path = root / file_name(stack)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(sorted(found.name.split(".")[1] for found in root.glob("Pulumi.*.yaml")))
        raise ConfigError("there is no such stack", where=path.name, got=stack, allowed=known, act="choose one: STACK=local") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=path.name) from None
    if len(text) > MAX_FILE_BYTES:
        raise ConfigError(
            "is far too large for a stack's config", where=path.name, got=f"{len(text)} characters", allowed=f"{MAX_FILE_BYTES}"
        )
    try:
        document = yaml.load(text, Loader=_StackLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"is not plain YAML: {' '.join(str(error).split())}", where=path.name, act="mend that line") from None
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise ConfigError(
            "has no 'config:' section",
            where=path.name,
            got=document,
            allowed=f"config: {{{PROJECT}:target: …}}",
            act=f"git checkout -- {path.name}",
        )
    prefix = f"{PROJECT}:"
    return parse({key.removeprefix(prefix): value for key, value in document["config"].items() if key.startswith(prefix)}, file=path.name)


def json_schema() -> dict[str, Any]:
    """JSON Schema of a ``Pulumi.<stack>.yaml``, for completion in editors."""
    stack = StackConfig.model_json_schema(by_alias=True)
    definitions = stack.pop("$defs")
    champion = {
        "anyOf": [{"const": "none"}, {"type": "integer", "minimum": 1}],
        "description": "The number of the release that answers, or none.",
    }
    definitions["ModelConfig"]["properties"]["champion"] = champion
    properties = {f"{PROJECT}:{key}": value for key, value in stack["properties"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Config of a stack",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": properties,
                "required": [f"{PROJECT}:target", f"{PROJECT}:models"],
                "patternProperties": {f"^(?!{PROJECT}:)": {}},
                "additionalProperties": False,
            },
        },
        "required": ["config"],
        "$defs": definitions,
    }


def _first_problem(error: ValidationError, file: str) -> ConfigError:
    problems = error.errors(include_url=False)
    # A misspelt key is also a missing one; the misspelling is what helps.
    problem = next((found for found in problems if found["type"] == "extra_forbidden"), problems[0])
    location = [
        str(part) for part in problem["loc"] if part != "[key]" and not str(part).startswith(("constrained-", "function-", "union"))
    ]
    location = [part for part in location if part not in {"int", "none"}]
    key = f"{PROJECT}:" + ".".join(location)
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(_keys_beside(location[:-1]))
        return ConfigError(
            f"unknown key '{location[-1]}'",
            where=f"{file}: {key}",
            got=problem["input"],
            allowed=allowed,
            act=_closest(location[-1], allowed.split(", ")) or "remove it",
        )
    if problem["type"] == "missing":
        return ConfigError(f"'{location[-1]}' is missing", where=f"{file}: {key}", allowed=_meaning(location), act=f"add '{location[-1]}:'")
    message = problem["msg"].removeprefix("Value error, ")
    return ConfigError(
        message, where=f"{file}: {key}", got=problem["input"], allowed=_meaning(location), act=f"change this value in {file}"
    )


def _section_of(location: list[str]) -> type[_Section] | None:
    section: type[_Section] = StackConfig
    steps = iter(location)
    for step in steps:
        field = next((field for name, field in section.model_fields.items() if (field.alias or name) == step), None)
        following = _inner(field.annotation) if field else None
        if following is None or (step == "models" and next(steps, None) is None):
            return None
        section = following
    return section


def _inner(annotation: Any) -> type[_Section] | None:
    """The section inside an annotation such as ``ModelConfig | None`` or a mapping of them."""
    if isinstance(annotation, type) and issubclass(annotation, _Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)


def _keys_beside(location: list[str]) -> list[str]:
    section = _section_of(location)
    return [field.alias or name for name, field in section.model_fields.items()] if section else []


def _meaning(location: list[str]) -> str:
    """What a key allows, from its field's own bounds and description."""
    while location and location[-1].isdigit():
        location = location[:-1]
    section = _section_of(location[:-1])
    if section is None or not location:
        return ""
    for name, field in section.model_fields.items():
        if (field.alias or name) == location[-1]:
            schema = section.model_json_schema(by_alias=True)["properties"][location[-1]]
            names = {
                "exclusiveMinimum": "above",
                "minimum": "at least",
                "exclusiveMaximum": "below",
                "maximum": "at most",
                "enum": "one of",
                "const": "exactly",
                "maxItems": "items at most",
            }
            options = schema.get("anyOf", [schema])
            bounds = [f"{words} {option[key]}" for option in options for key, words in names.items() if key in option]
            kind = schema.get("type", "")
            return "; ".join(part for part in (" ".join([kind, ", ".join(bounds)]).strip(), field.description or "") if part)
    return ""


def _closest(word: str, allowed: list[str]) -> str:
    import difflib

    match = difflib.get_close_matches(word, allowed, n=1)
    return f"did you mean '{match[0]}'?" if match else ""


class _StackLoader(yaml.SafeLoader):
    """Safe YAML that refuses aliases (a few lines of them expand to gigabytes) and duplicate keys (the last would win in silence)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases ('*name') are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.YAMLError(f"key '{key}' stands twice, the second time in line {key_node.start_mark.line + 1}")
            seen.add(key)
        return super().construct_mapping(node, deep)
