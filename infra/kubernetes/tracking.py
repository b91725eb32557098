"""MLflow's server in a cluster: on PostgreSQL and an S3 store, with every route of it behind the gateway's basic authentication.

::

    IngressRoute mlflow   users: TLS, basicAuth, path cut off   -> Service mlflow -> pods of Deployment mlflow
    init container        one migration of the database at a time, before the server of the same image

The gateway asks for the account, as MLflow's own way leaves routes open (docs/adr/0013). Only the gateway reaches the pods.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pulumi

from infra.config import ClusterGatewayConfig, KubernetesConfig, TrackingConfig
from infra.kubernetes.gateway import TRAEFIK
from infra.kubernetes.labels import NAME, labels
from infra.kubernetes.labels import image as pulled
from infra.kubernetes.manifests import GRACE_SECONDS, PRE_STOP_SECONDS, gateway_pods, namespace
from infra.kubernetes.objects import create
from infra.kubernetes.security import CONTAINER_SECURITY, POD_SECURITY, scratch_mount

Manifest = dict[str, Any]

MLFLOW = "mlflow"
"""Name of everything here."""
PORT = 5000
SCRATCH_MIB = 2_048
"""An artifact lies here on its way to the store: none may be larger."""
START_SECONDS = 180
"""MLflow imports for half a minute where it gets half a core."""
UPDATE_TIMEOUT = "6m"
CA_FOLDER = "/etc/database"
POD_IDENTITY_AGENT = {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"protocol": "TCP", "port": 80}]}
"""Where EKS Pod Identity hands a pod the rights of its service account: an address of the node, which a default deny closes as well."""

MIGRATE = f"""\
import subprocess, sys
import psycopg
with psycopg.connect(sys.argv[1].replace("+psycopg", "")) as lock:
    lock.execute("SELECT pg_advisory_lock(hashtext('{MLFLOW} migration'))")
    sys.exit(subprocess.run([sys.executable, "-m", "{MLFLOW}", "db", "upgrade", sys.argv[1]]).returncode)
"""
"""MLflow's own lock is a file of one pod: two pods that start at once would both migrate. PostgreSQL's ends with its connection."""


@dataclass(frozen=True, kw_only=True)
class TrackingArgs:
    """The cluster's config, its part on tracking, the server's image (``name@sha256:…`` below the registry), and the provider."""

    kubernetes: KubernetesConfig
    tracking: TrackingConfig
    image: pulumi.Input[str]
    provider: pulumi.ProviderResource


class Tracking(pulumi.ComponentResource):
    """MLflow's server and the way in to it. Its namespace is never deleted: the Secrets in it are not the stack's."""

    def __init__(self, name: str, args: TrackingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:kubernetes:Tracking", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.provider)
        tracking = args.tracking
        place = create(namespace(tracking.namespace), _with(child, retain_on_delete=True))
        inside = _with(child, depends_on=[place])
        before = [
            create(each, inside)
            for each in [service_account(tracking), *network_policies(tracking, args.kubernetes.platform), disruption_budget(tracking)]
        ]
        times = pulumi.CustomTimeouts(create=UPDATE_TIMEOUT, update=UPDATE_TIMEOUT)
        image = pulumi.Output.from_input(args.image).apply(lambda name: pulled(args.kubernetes.registry, name))
        server = create(deployment(tracking, image), _with(inside, depends_on=before, custom_timeouts=times))
        behind = [create(service(tracking), _with(inside, depends_on=[server]))]
        behind += [create(each, inside) for each in middlewares(tracking)]
        create(route(tracking, args.kubernetes.gateway), _with(inside, depends_on=behind))
        self.register_outputs({})


def service_account(tracking: TrackingConfig) -> Manifest:
    """Who the server is: nobody in the cluster, with no token. A cloud may tie rights on the bucket to its name."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(tracking), "automountServiceAccountToken": False}


def network_policies(tracking: TrackingConfig, platform: str) -> list[Manifest]:
    """Default deny; the gateway reaches the server, and the server its database, its store and names."""
    database, store = tracking.database, urlsplit(tracking.artifacts.endpoint or "https://store")
    port = store.port or (443 if store.scheme == "https" else 80)
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    spec = {
        "podSelector": {"matchLabels": {NAME: MLFLOW}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [gateway_pods(platform)], "ports": [_tcp(PORT)]}],
        "egress": [
            {"to": _anywhere(), "ports": names},
            {"to": _towards(database.host), "ports": [_tcp(database.port)]},
            {"to": _towards(store.hostname or ""), "ports": [_tcp(port)]},
            *([POD_IDENTITY_AGENT] if tracking.artifacts.secret is None else []),
        ],
    }
    return [
        _object(
            tracking, "networking.k8s.io/v1", "NetworkPolicy", "default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        ),
        _object(tracking, "networking.k8s.io/v1", "NetworkPolicy", MLFLOW, spec),
    ]


def disruption_budget(tracking: TrackingConfig) -> Manifest:
    """A node that is drained takes one pod at a time, and never waits for a broken one."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {NAME: MLFLOW}}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    return _object(tracking, "policy/v1", "PodDisruptionBudget", MLFLOW, spec)


def deployment(tracking: TrackingConfig, image: pulumi.Input[str]) -> Manifest:
    """The server, ready while its database answers; ``image`` is by digest."""
    base = {
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": _environment(tracking),
        "resources": {
            "requests": {"cpu": "100m", "memory": f"{tracking.memory_mib}Mi"},
            "limits": {"cpu": "2", "memory": f"{tracking.memory_mib}Mi"},
        },
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [scratch_mount(), *([{"name": "ca", "mountPath": CA_FOLDER, "readOnly": True}] if _has_ca(tracking) else [])],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    migration = {"name": "migrate", "command": ["python", "-c", MIGRATE, database_uri(tracking)], **base}
    server = {
        "name": MLFLOW,
        "command": command(tracking),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": _probe("/health", seconds=2, failures=START_SECONDS // 2),
        # The one page that says nothing of the database is for liveness: a server without one is not mended by a new start.
        "livenessProbe": _probe("/health", seconds=10, failures=6),
        "readinessProbe": _probe("/api/2.0/mlflow/experiments/search?max_results=1", seconds=5, failures=2),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        **base,
    }
    selector = {"matchLabels": {NAME: MLFLOW}}
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}
    volumes = [{"name": "tmp", "emptyDir": {"sizeLimit": f"{SCRATCH_MIB}Mi"}}]
    if tracking.database.ca_config_map is not None:
        volumes.append({"name": "ca", "configMap": {"name": tracking.database.ca_config_map}})
    pod = {
        "initContainers": [migration],
        "containers": [server],
        "serviceAccountName": MLFLOW,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "topologySpreadConstraints": [spread],
        "volumes": volumes,
    }
    spec = {
        "replicas": tracking.replicas,
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": 2 * START_SECONDS,
        "selector": selector,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": labels(MLFLOW)}, "spec": pod},
    }
    return _object(tracking, "apps/v1", "Deployment", MLFLOW, spec)


def command(tracking: TrackingConfig) -> list[str]:
    """How the server is started. No password stands in it: those come by the environment, from Secrets."""
    url = urlsplit(tracking.url)
    return [
        "python",
        "-m",
        "mlflow",
        "server",
        "--host=0.0.0.0",
        f"--port={PORT}",
        "--workers=1",
        f"--backend-store-uri={database_uri(tracking)}",
        "--serve-artifacts",
        f"--artifacts-destination=s3://{tracking.artifacts.bucket}",
        f"--allowed-hosts={','.join([url.netloc, *service_names(tracking)])}",
        # Its web pages send their address along, and MLflow would take them for strangers.
        f"--cors-allowed-origins=https://{url.netloc}",
    ]


def database_uri(tracking: TrackingConfig) -> str:
    """The database as SQLAlchemy names it; user, password and TLS come from PG* variables."""
    database = tracking.database
    # A database that vanished without a word is noticed in seconds, and the next connection may find the one that took over.
    patience = "connect_timeout=5&tcp_user_timeout=10000"
    return f"postgresql+psycopg://{database.host}:{database.port}/{database.name}?{patience}"


def service_names(tracking: TrackingConfig) -> list[str]:
    """What pods of the cluster may call the server."""
    inside = f"{MLFLOW}.{tracking.namespace}"
    return [MLFLOW, inside, f"{inside}.svc", f"{inside}.svc.cluster.local"]


def service(tracking: TrackingConfig) -> Manifest:
    """Where the gateway finds the pods."""
    ports = [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}]
    return _object(tracking, "v1", "Service", MLFLOW, {"type": "ClusterIP", "selector": {NAME: MLFLOW}, "ports": ports})


def middlewares(tracking: TrackingConfig) -> list[Manifest]:
    """What a request passes on its way in: the account first, then the path, where the server has no host of its own."""
    users = {"basicAuth": {"secret": tracking.users_secret, "realm": MLFLOW, "removeHeader": True}}
    found = [_object(tracking, TRAEFIK, "Middleware", f"{MLFLOW}-users", users)]
    path = urlsplit(tracking.url).path
    if path:
        # Its pages name what they need relative to their own address, which therefore ends with a slash.
        slash = {"redirectRegex": {"regex": f"^(https://[^/]+{path})$", "replacement": "${1}/"}}
        found.append(_object(tracking, TRAEFIK, "Middleware", f"{MLFLOW}-slash", slash))
        found.append(_object(tracking, TRAEFIK, "Middleware", f"{MLFLOW}-strip", {"stripPrefix": {"prefixes": [path]}}))
    return found


def route(tracking: TrackingConfig, gateway: ClusterGatewayConfig) -> Manifest:
    """The one way in: over TLS, every path of it behind the account."""
    url = urlsplit(tracking.url)
    below = f" && (Path(`{url.path}`) || PathPrefix(`{url.path}/`))" if url.path else ""
    rule = {
        "kind": "Rule",
        "match": f"Host(`{url.hostname}`){below}",
        "middlewares": [{"name": each["metadata"]["name"]} for each in middlewares(tracking)],
        "services": [{"name": MLFLOW, "kind": "Service", "port": 80}],
    }
    tls = {"secretName": gateway.tls_secret} if gateway.tls_secret else {}
    return _object(tracking, TRAEFIK, "IngressRoute", MLFLOW, {"entryPoints": [gateway.entry_point], "routes": [rule], "tls": tls})


def _environment(tracking: TrackingConfig) -> list[Manifest]:
    database, artifacts = tracking.database, tracking.artifacts
    plain = {
        "PGSSLMODE": database.ssl_mode,
        **({"PGSSLROOTCERT": f"{CA_FOLDER}/ca.crt"} if _has_ca(tracking) else {}),
        "AWS_DEFAULT_REGION": artifacts.region,
        **({"MLFLOW_S3_ENDPOINT_URL": artifacts.endpoint} if artifacts.endpoint else {}),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    secret = {"PGUSER": (database.secret, "username"), "PGPASSWORD": (database.secret, "password")}
    if artifacts.secret is not None:
        secret["AWS_ACCESS_KEY_ID"] = (artifacts.secret, "access-key-id")
        secret["AWS_SECRET_ACCESS_KEY"] = (artifacts.secret, "secret-access-key")
    return [
        *({"name": name, "value": value} for name, value in plain.items()),
        *({"name": name, "valueFrom": {"secretKeyRef": {"name": holder, "key": key}}} for name, (holder, key) in secret.items()),
    ]


def _probe(path: str, *, seconds: int, failures: int) -> Manifest:
    # By a name that MLflow allows: the kubelet knows the pod's address only.
    header = [{"name": "Host", "value": MLFLOW}]
    return {
        "httpGet": {"path": path, "port": PORT, "httpHeaders": header},
        "periodSeconds": seconds,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _has_ca(tracking: TrackingConfig) -> bool:
    return tracking.database.ca_config_map is not None


def _towards(host: str) -> list[Manifest]:
    """A policy's peer: an address is itself, a name may be anything."""
    try:
        return [{"ipBlock": {"cidr": f"{ipaddress.IPv4Address(host)}/32"}}]
    except ValueError:
        return _anywhere()


def _anywhere() -> list[Manifest]:
    return [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}]


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}


def _metadata(tracking: TrackingConfig, name: str = MLFLOW) -> Manifest:
    return {"name": name, "namespace": tracking.namespace, "labels": labels(MLFLOW)}


def _object(tracking: TrackingConfig, version: str, kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": _metadata(tracking, name), "spec": spec}


def _with(opts: pulumi.ResourceOptions, *, depends_on: Sequence[pulumi.Resource] = (), **more: Any) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(depends_on), **more))
