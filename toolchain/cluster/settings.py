"""The configuration of the node's programs: pure functions from a place to texts."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from toolchain.cluster import (
    API,
    DASHBOARD,
    DATA,
    DATABASE,
    DNS_SERVICE,
    DOMAIN,
    GATEWAY,
    NODE,
    PODS,
    POLICIES,
    PROBES,
    PROMETHEUS,
    REGISTRY,
    ROLLOUTS,
    SERVICES,
    STORE,
    Place,
)
from toolchain.cluster.packages import PATH

CONTAINERD = "/run/containerd/containerd.sock"
SUPERVISOR = "/run/supervisor.sock"
"""Inside the node, whose /run is its own; from the host it is reached through the node's root."""

EVICT_PERCENT = 1
"""Below this share of the disk the kubelet starts no pod."""

OWNER = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this user."""

PAUSE = "docker.io/local/pause:1"
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 10)
"""Upper bounds of the gateway's latency histogram, seconds: fine around usual objectives, as a percentile is read from them."""


@dataclass(frozen=True)
class Program:
    """One supervised program. ``stage`` is when it may start: the parts of a later stage need those of the earlier ones."""

    name: str
    stage: int
    argv: list[str]


def as_owner(*command: str) -> list[str]:
    """The command, run by the database's user."""
    return ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", "--", *command]


def programs(place: Place, binaries: Path, traefik: str, postgresql: Path) -> list[Program]:
    """Everything that runs on the node, in the order of its start. ``traefik`` is that program, ``postgresql`` the folder of its own."""
    kubernetes, pki, settings = str(binaries / "kubernetes"), place.pki, place.settings
    etcd = [
        "etcd",
        f"--data-dir={place.folder / 'etcd'}",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        # What it holds goes with the cluster: durability is not worth a disk's wait on every write.
        "--unsafe-no-fsync",
    ]
    apiserver = [
        kubernetes,
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={NODE}",
        f"--secure-port={API}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
        f"--service-account-key-file={pki / 'tokens.pub'}",
        f"--service-account-signing-key-file={pki / 'tokens.key'}",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--anonymous-auth=false",
        "--profiling=false",
    ]
    # What is meant for the API servers of large clusters costs this one its first seconds.
    quick = ["--kube-api-qps=200", "--kube-api-burst=400"]
    manager = [
        kubernetes,
        "kube-controller-manager",
        f"--kubeconfig={pki / 'controller-manager.kubeconfig'}",
        f"--service-account-private-key-file={pki / 'tokens.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-cidr={PODS}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--horizontal-pod-autoscaler-sync-period=5s",
        *quick,
    ]
    scheduler = [
        kubernetes,
        "kube-scheduler",
        f"--kubeconfig={pki / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        *quick,
    ]
    kubelet = [
        kubernetes,
        "kubelet",
        f"--config={settings / 'kubelet.yaml'}",
        f"--kubeconfig={pki / 'kubelet.kubeconfig'}",
        "--hostname-override=node",
        f"--node-ip={NODE}",
    ]
    rollouts = [
        str(binaries / "rollouts-controller"),
        f"--kubeconfig={pki / 'rollouts.kubeconfig'}",
        "--leader-elect=false",
        "--namespaced=false",
        f"--healthzPort={ROLLOUTS}",
        "--metricsPort=8091",
        "--traefik-api-group=traefik.io",
        "--traefik-api-version=traefik.io/v1alpha1",
    ]
    gateway = [
        traefik,
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--providers.kubernetescrd=true",
        # Else one Service without pods, such as a canary's that crashed, takes a model's whole route away.
        "--providers.kubernetescrd.allowemptyservices=true",
        "--providers.providersthrottleduration=100ms",
        f"--providers.file.filename={settings / 'gateway.yaml'}",
        f"--entrypoints.websecure.address={NODE}:{GATEWAY}",
        "--entrypoints.websecure.http.tls=true",
        f"--entrypoints.internal.address={NODE}:{PROBES}",
        f"--entrypoints.traefik.address={NODE}:{DASHBOARD}",
        "--api.insecure=true",
        "--ping=true",
        "--metrics.prometheus=true",
        "--metrics.prometheus.addserviceslabels=true",
        f"--metrics.prometheus.buckets={','.join(map(str, BUCKETS))}",
        "--log.level=INFO",
    ]
    prometheus = [
        "prometheus",
        f"--config.file={settings / 'prometheus.yaml'}",
        f"--storage.tsdb.path={place.folder / 'prometheus'}",
        "--storage.tsdb.retention.time=6h",
        f"--web.listen-address={NODE}:{PROMETHEUS}",
        # Scraped each second: what was not seen for this long is gone.
        "--query.lookback-delta=15s",
    ]
    policies = [
        str(binaries / "kube-router"),
        f"--kubeconfig={pki / 'policies.kubeconfig'}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--enable-cni=false",
        "--hostname-override=node",
        f"--service-cluster-ip-range={SERVICES}",
        f"--health-port={POLICIES}",
    ]
    postgres = [
        str(postgresql / "postgres"),
        "-D",
        str(DATA / "data"),
        *_options(
            listen_addresses=NODE,
            port=DATABASE,
            unix_socket_directories="",
            hba_file=DATA / "hba.conf",
            ssl="on",
            ssl_cert_file=DATA / "database.crt",
            ssl_key_file=DATA / "database.key",
            # As with etcd; and no file in /dev/shm, which is the machine's.
            fsync="off",
            dynamic_shared_memory_type="mmap",
        ),
    ]
    store = [
        str(binaries / "versitygw"),
        f"--port={NODE}:{STORE}",
        "--health=/health",
        "--quiet",
        "posix",
        str(place.store),
    ]
    return [
        Program("etcd", 1, etcd),
        Program("containerd", 1, ["containerd", "--config", str(settings / "containerd.toml")]),
        Program("registry", 1, ["docker-registry", "serve", str(settings / "registry.yaml")]),
        Program("apiserver", 1, apiserver),
        Program("controller-manager", 2, manager),
        Program("scheduler", 2, scheduler),
        Program("kubelet", 2, kubelet),
        Program("proxy", 2, [kubernetes, "kube-proxy", f"--config={settings / 'proxy.yaml'}"]),
        Program("dns", 2, [str(binaries / "coredns"), "-conf", str(settings / "Corefile")]),
        Program("rollouts", 2, rollouts),
        Program("gateway", 2, gateway),
        Program("prometheus", 2, prometheus),
        # It ends at once where there is no node yet.
        Program("policies", 3, policies),
        # System V's shared memory outlives its processes, but not a namespace of theirs.
        Program("database", 2, ["unshare", "--ipc", "--", *as_owner(*postgres)]),
        # Its keys stand in a file that others can't read, and not in the supervisor's.
        Program("store", 2, ["sh", "-c", 'set -a; . "$0"; exec "$@"', str(place.accounts / "store.env"), *store]),
    ]


def _options(**values: object) -> list[str]:
    return [word for name, value in values.items() for word in ("-c", f"{name}={value}")]


def supervisor(place: Place, listed: list[Program]) -> str:
    """The supervisor's configuration: it is the node's first process, and starts nothing by itself."""
    sections = [
        "[supervisord]\nnodaemon=true\nuser=root\n"
        f"logfile={place.logs / 'supervisor.log'}\npidfile=/run/supervisord.pid\nloglevel=warn\nidentifier=node",
        f"[unix_http_server]\nfile={SUPERVISOR}\nchmod=0700",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in listed:
        environment = f'PATH="{PATH}"' + (f',KUBECONFIG="{place.pki / "gateway.kubeconfig"}"' if program.name == "gateway" else "")
        command = shlex.join(program.argv).replace("%", "%%")
        sections.append(
            f"[program:{program.name}]\ncommand={command}\nenvironment={environment}\n"
            "autostart=false\nautorestart=true\nstartsecs=1\nstartretries=1000\nstopwaitsecs=10\nkillasgroup=true\nstopasgroup=true\n"
            f"redirect_stderr=true\nstdout_logfile={place.logs / program.name}.log\nstdout_logfile_maxbytes=20MB\nstdout_logfile_backups=1"
        )
    return "\n\n".join(sections) + "\n"


def files(place: Place, listed: list[Program]) -> dict[str, str]:
    """Every file of ``place.settings``, by name."""
    return {
        "supervisor.conf": supervisor(place, listed),
        "containerd.toml": _containerd(place),
        "cni/10-bridge.conflist": json.dumps(_network(), indent=1),
        "kubelet.yaml": _yaml(_kubelet(place)),
        "proxy.yaml": _yaml(_proxy(place)),
        "registry.yaml": _yaml(_registry(place)),
        "prometheus.yaml": _yaml(_prometheus()),
        "gateway.yaml": _yaml(_gateway(place)),
        "Corefile": _corefile(place),
        "resolv.conf": "",
    }


def _containerd(place: Place) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{place.folder / "containerd"}"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD}"
[{cri}]
  # The node's processes may not lower their score, as the machine's own container may not.
  restrict_oom_score_adj = true
  sandbox_image = "{PAUSE}"
  [{cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{place.settings / "cni"}"
  [{cri}.containerd]
    snapshotter = "overlayfs"
  [{cri}.registry.mirrors."{NODE}:{REGISTRY}"]
    endpoint = ["http://{NODE}:{REGISTRY}"]
"""


def _network() -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}


def _kubelet(place: Place) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(place.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(place.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(place.pki / "kubelet-server.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{place.cgroup}",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DOMAIN,
        "resolvConf": str(place.settings / "resolv.conf"),
        "failSwapOn": False,
        "failCgroupV1": False,
        "makeIPTablesUtilChains": False,
        # A development machine's disk may be fuller than a server's.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": f"{EVICT_PERCENT}%", "imagefs.available": f"{EVICT_PERCENT}%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "maxPods": 200,
        "registryPullQPS": 0,
        "serializeImagePulls": False,
        # Seconds count: a rollout waits for its pods.
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
    }


def _proxy(place: Place) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(place.pki / "proxy.kubeconfig")},
        "clusterCIDR": PODS,
        "hostnameOverride": "node",
        "bindAddress": NODE,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "min": 0},
        # Pods share one bridge: an answer must come back by way of the address that was asked.
        "iptables": {"masqueradeAll": True, "minSyncPeriod": "0s", "syncPeriod": "30s"},
    }


def _registry(place: Place) -> dict[str, Any]:
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(place.folder / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": f"{NODE}:{REGISTRY}"},
    }


def _prometheus() -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "10s"},
        "scrape_configs": [
            {"job_name": "traefik", "static_configs": [{"targets": [f"{NODE}:{DASHBOARD}"]}]},
            {"job_name": "rollouts", "static_configs": [{"targets": ["127.0.0.1:8091"]}]},
        ],
    }


def _gateway(place: Place) -> dict[str, Any]:
    certificate = {"certFile": str(place.pki / "gateway-server.crt"), "keyFile": str(place.pki / "gateway-server.key")}
    return {"tls": {"stores": {"default": {"defaultCertificate": certificate}}}}


def _corefile(place: Place) -> str:
    return f""".:53 {{
    bind {NODE}
    errors
    ready 127.0.0.1:8181
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {place.pki / "dns.kubeconfig"}
        ttl 5
    }}
    cache 5
}}
"""


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
