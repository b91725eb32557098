"""Rules over what runs in a cluster: every pod, wherever it is nested (Rollout, the Job of an AnalysisTemplate), and its surroundings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policy.limits import Limits
from policy.resource import UNKNOWN, Finding, Place, Resource, Rule, at, dotted, is_wrong, items, places

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
ARGUMENT = re.compile(r"^\{\{\s*args\.[\w-]+\s*\}\}$")
"""Argo Rollouts fills it in from the arguments of a Rollout, which ``image_by_digest`` looks at too."""

KUBERNETES = ("kubernetes:",)
POD_SECURITY = "pod-security.kubernetes.io/enforce"
INTERNAL = {
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
    "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
}


def _pods(resource: Resource) -> Iterator[Place]:
    # A chart's values are the chart's own words, not pods.
    return iter(()) if resource.type.startswith("kubernetes:helm.sh/") else places(resource.props, "containers")


def _containers(resource: Resource) -> Iterator[tuple[Place, Place]]:
    """Each container with the pod that it is in."""
    for pod in _pods(resource):
        for kind in ("initContainers", "containers", "ephemeralContainers"):
            for index, container in enumerate(items(pod.value.get(kind))):
                if isinstance(container, Mapping):
                    yield Place((*pod.path, kind, index), container), pod


def image_by_digest(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Images of containers, and those that a Rollout hands to its analyses."""
    found = [((*container.path, "image"), at(container.value, "image")) for container, _ in _containers(resource)]
    for place in places(resource.props, "args"):
        for index, argument in enumerate(items(place.value["args"])):
            if at(argument, "name") == "image" and at(argument, "value") is not None:
                found.append(((*place.path, "args", index, "value"), at(argument, "value")))
    for path, image in found:
        if image is UNKNOWN or DIGEST.search(str(image)) or ARGUMENT.match(str(image)):
            continue
        yield Finding(
            what="an image is named by a tag, which can be given to other bytes at any time",
            at=dotted(path),
            got=image,
            allowed="repository@sha256:<64 hex digits>",
            act="name the digest: a release's record holds it; for others: docker buildx imagetools inspect IMAGE",
        )


def pod_limits(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Requests and limits of each container."""
    for container, _ in _containers(resource):
        for kind in ("requests", "limits"):
            given = at(container.value, "resources", kind)
            missing = [] if given is UNKNOWN else [name for name in ("cpu", "memory") if name not in (given or {})]
            if missing:
                yield Finding(
                    what=f"a container has no {kind} of {' and '.join(missing)}: it can take the node from its neighbours",
                    at=dotted((*container.path, "resources", kind)),
                    got=given,
                    allowed="cpu and memory",
                    act="give both; a model's stand in its config: resources",
                )


def pod_not_root(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The user of each container; the container's word counts before the pod's."""
    for container, pod in _containers(resource):
        for key in ("runAsNonRoot", "runAsUser"):
            own = at(container.value, "securityContext", key)
            value = own if own is not None else at(pod.value, "securityContext", key)
            if is_wrong(value, True) if key == "runAsNonRoot" else value == 0:
                yield Finding(
                    what="a container may run as root",
                    at=dotted((*container.path, "securityContext", key)),
                    got=value,
                    allowed="true" if key == "runAsNonRoot" else "a user that is not 0",
                    act=_SECURITY,
                )


_SECURITY = "use POD_SECURITY and CONTAINER_SECURITY of infra/kubernetes/security.py"


def pod_not_privileged(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Privileges of each container, and what a pod shares with its node."""
    for container, pod in _containers(resource):
        security = at(container.value, "securityContext")
        for key, is_bad, allowed in (
            ("privileged", is_wrong(at(security, "privileged"), None, False), "false"),
            ("allowPrivilegeEscalation", is_wrong(at(security, "allowPrivilegeEscalation"), False), "false"),
            ("capabilities", _keeps_capabilities(at(security, "capabilities")), 'drop: ["ALL"], add: none'),
        ):
            if is_bad:
                yield Finding(
                    what="a container may gain privileges",
                    at=dotted((*container.path, "securityContext", key)),
                    got=at(security, key),
                    allowed=allowed,
                    act=_SECURITY,
                )
        profile = at(security, "seccompProfile", "type") or at(pod.value, "securityContext", "seccompProfile", "type")
        if is_wrong(profile, "RuntimeDefault", "Localhost"):
            path = (*container.path, "securityContext", "seccompProfile", "type")
            yield Finding(
                what="a container may make any system call", at=dotted(path), got=profile, allowed="RuntimeDefault", act=_SECURITY
            )
        for index, port in enumerate(items(at(container.value, "ports"))):
            if is_wrong(at(port, "hostPort"), None, 0):
                path = (*container.path, "ports", index, "hostPort")
                yield Finding(
                    what="a container takes a port of its node", at=dotted(path), got=port["hostPort"], allowed="none", act="use a Service"
                )
    for pod in _pods(resource):
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if is_wrong(at(pod.value, key), None, False):
                yield Finding(
                    what="a pod shares its node's namespace", at=dotted((*pod.path, key)), got=True, allowed="false", act=f"remove {key}"
                )
        for index, volume in enumerate(items(pod.value.get("volumes"))):
            if at(volume, "hostPath") not in (None, UNKNOWN):
                yield Finding(
                    what="a pod mounts a folder of its node",
                    at=dotted((*pod.path, "volumes", index, "hostPath")),
                    got=at(volume, "hostPath", "path"),
                    allowed="emptyDir with a sizeLimit, a claim, a ConfigMap or a Secret",
                    act="mount one of these",
                )


def _keeps_capabilities(given: Any) -> bool:
    dropped, added = at(given, "drop"), at(given, "add")
    if UNKNOWN in (dropped, added, *items(dropped)):
        return False
    return "ALL" not in items(dropped) or bool(added)


def pod_read_only(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The root file system of each container."""
    for container, _ in _containers(resource):
        value = at(container.value, "securityContext", "readOnlyRootFilesystem")
        if is_wrong(value, True):
            path = (*container.path, "securityContext", "readOnlyRootFilesystem")
            yield Finding(what="a container can change its own programs", at=dotted(path), got=value, allowed="true", act=_SECURITY)


def pod_no_token(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The token of the service account in each pod."""
    for pod in _pods(resource):
        value = at(pod.value, "automountServiceAccountToken")
        if is_wrong(value, False):
            yield Finding(
                what="a pod holds a token for the cluster's API",
                at=dotted((*pod.path, "automountServiceAccountToken")),
                got=value,
                allowed="false",
                act="set it; a pod that must ask the API is waived by name, with the reason",
            )


def no_secret_in_environment(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Secrets among environment variables."""
    for container, _ in _containers(resource):
        for index, variable in enumerate(items(at(container.value, "env"))):
            if at(variable, "valueFrom", "secretKeyRef") not in (None, UNKNOWN):
                yield Finding(
                    what="a secret is an environment variable, which programs write into logs and crash reports",
                    at=dotted((*container.path, "env", index, "valueFrom", "secretKeyRef")),
                    got=at(variable, "valueFrom", "secretKeyRef", "name"),
                    allowed="a Secret mounted as a file",
                    act="mount it",
                )


def namespace_is_restricted(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The Pod Security Standard that a namespace enforces."""
    labels = at(resource.props, "metadata", "labels")
    value = at(labels, POD_SECURITY)
    if is_wrong(value, "restricted", "baseline"):
        yield Finding(
            what="a namespace lets any pod in",
            at=f'metadata.labels["{POD_SECURITY}"]',
            got=value,
            allowed="restricted, or baseline for the platform's own",
            act="add the label",
        )


def rights_are_named(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Rules of roles, and who is made the cluster's administrator."""
    for number, rule in enumerate(items(resource.props.get("rules"))):
        for key in ("apiGroups", "resources", "verbs"):
            if "*" in items(at(rule, key)):
                yield Finding(
                    what="a role may do everything of a kind, also what does not exist yet",
                    at=dotted(("rules", number, key)),
                    got="*",
                    allowed="names",
                    act="name what it needs",
                )
    if at(resource.props, "roleRef", "name") == "cluster-admin":
        yield Finding(
            what="somebody is made the cluster's administrator",
            at="roleRef.name",
            got="cluster-admin",
            allowed="a role with the rights that are needed",
            act="bind another role; people get theirs from access entries",
        )


def service_is_internal(resource: Resource, limits: Limits) -> Iterator[Finding]:
    """Load balancers of Services."""
    if not limits.is_production or at(resource.props, "spec", "type") != "LoadBalancer":
        return
    annotations = at(resource.props, "metadata", "annotations")
    if not any(at(annotations, key) in (value, UNKNOWN) for key, value in INTERNAL.items()):
        yield Finding(
            what="a load balancer of production is open to the internet",
            at='metadata.annotations["service.beta.kubernetes.io/aws-load-balancer-scheme"]',
            got=at(annotations, next(iter(INTERNAL))),
            allowed="internal",
            act="set the annotation; what users outside must reach is waived by name, with the reason",
        )


def chart_is_pinned(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The version of a Helm chart."""
    version = at(resource.props, "version")
    if version is not UNKNOWN and not re.fullmatch(r"v?\d+\.\d+\.\d+(-[\w.]+)?", str(version or "")):
        yield Finding(
            what="a chart is not pinned: the next update installs another one",
            at="version",
            got=version,
            allowed="an exact version, such as 2.40.9",
            act="name the version that was tried",
        )


def pod_has_probe(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Readiness of the long-running pods: those of a Deployment, StatefulSet, DaemonSet or Rollout."""
    template = at(resource.props, "spec", "template", "spec")
    for index, container in enumerate(items(at(template, "containers"))):
        if at(container, "readinessProbe") is None:
            yield Finding(
                what="a pod is sent traffic before anyone knows that it answers",
                at=dotted(("spec", "template", "spec", "containers", index, "readinessProbe")),
                got=None,
                allowed="a probe",
                act="ask the path that says ready",
            )


RULES = (
    Rule(
        name="image-by-digest",
        asks="Every image is named by digest; no tag, no `latest`.",
        why="What was tested is what runs: a tag can be moved to other bytes.",
        types=KUBERNETES,
        check=image_by_digest,
    ),
    Rule(
        name="pod-limits",
        asks="Every container asks for CPU and memory, and has a limit of both.",
        why="One model's fault must not take the node from the others.",
        types=KUBERNETES,
        check=pod_limits,
    ),
    Rule(
        name="pod-not-root",
        asks="No container runs as root.",
        why="Root in a container is one fault of the kernel away from root of the node.",
        types=KUBERNETES,
        check=pod_not_root,
        cis="4.2",
    ),
    Rule(
        name="pod-not-privileged",
        asks="No privileges, no capabilities, a seccomp profile; nothing of the node: no namespace, port or folder.",
        why="A pod that was taken over stays a pod.",
        types=KUBERNETES,
        check=pod_not_privileged,
        cis="4.2.1-4.2.5",
    ),
    Rule(
        name="pod-read-only",
        asks="The root file system is read-only; what must be written goes to a volume with a limit.",
        why="Nobody changes a release's code while it runs.",
        types=KUBERNETES,
        check=pod_read_only,
    ),
    Rule(
        name="pod-no-token",
        asks="No pod mounts a service account's token.",
        why="A model asks nothing of the cluster's API; whoever takes it over should not either.",
        types=KUBERNETES,
        check=pod_no_token,
        cis="4.1.6",
    ),
    Rule(
        name="pod-has-probe",
        asks="Every long-running container has a readiness probe.",
        why="Without one a rollout sends users to a server that is not up yet.",
        types=(
            "kubernetes:apps/v1:Deployment",
            "kubernetes:apps/v1:StatefulSet",
            "kubernetes:apps/v1:DaemonSet",
            "kubernetes:argoproj.io/v1alpha1:Rollout",
        ),
        check=pod_has_probe,
    ),
    Rule(
        name="secret-as-file",
        asks="Secrets are mounted as files, not given as environment variables.",
        why="Environments end in logs, crash reports and child processes.",
        types=KUBERNETES,
        check=no_secret_in_environment,
        level="advisory",
        cis="4.4.1",
    ),
    Rule(
        name="namespace-restricted",
        asks="Every namespace enforces a Pod Security Standard.",
        why="The cluster itself then refuses what these rules refuse, from whomever it comes.",
        types=("kubernetes:core/v1:Namespace",),
        check=namespace_is_restricted,
        cis="4.2",
    ),
    Rule(
        name="rights-named",
        asks="No `*` in a role's rules; nobody is bound to `cluster-admin`.",
        why="A role with `*` may also do what is installed tomorrow.",
        types=("kubernetes:rbac.authorization.k8s.io/",),
        check=rights_are_named,
        cis="4.1.1, 4.1.3",
    ),
    Rule(
        name="service-internal",
        asks="Load balancers of production are internal.",
        why="The gateway is reached by the network that was meant, and by no other.",
        types=("kubernetes:core/v1:Service",),
        check=service_is_internal,
    ),
    Rule(
        name="chart-pinned",
        asks="Helm charts have an exact version.",
        why="Else two updates of the same commit install different things. What is inside a chart, a preview does not show.",
        types=("kubernetes:helm.sh/",),
        check=chart_is_pinned,
    ),
)
