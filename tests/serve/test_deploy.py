"""The deployment files fit the server: its settings, paths, ports and files."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from asif_serve.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "serve" / "deploy"
SETTINGS = {f"ASIF_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("name", ["asif-serve.service", "Dockerfile", "kubernetes.yaml"])
def test_each_file_says_what_was_tried_and_what_was_not(name):
    head = "".join(line for line in (DEPLOY / name).read_text().splitlines(keepends=True) if line.startswith("#"))
    assert "Tried: " in head and "Not tried: " in head
    assert f"`{name}`" in (DEPLOY / "README.md").read_text()


@pytest.mark.parametrize("path", sorted(DEPLOY.iterdir()), ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path):
    assert set(re.findall(r"\bASIF_\w+", path.read_text())) <= SETTINGS


# systemd


@pytest.fixture
def unit(tmp_path):
    """The unit with a command that is on this machine: what systemd-analyze would else complain of."""
    text = (DEPLOY / "asif-serve.service").read_text()
    copy = tmp_path / "asif-serve.service"
    copy.write_text(
        re.sub(r"^ExecStart=\S+/asif-serve$", f"ExecStart={shutil.which('true')}", text, flags=re.MULTILINE)
    )
    assert copy.read_text() != text
    return copy


needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


@needs_systemd
def test_systemd_understands_the_unit(unit):
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_unit_is_well_closed(unit):
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", unit]  # in tenths, 100 is wide open
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze reads no files")
    assert done.returncode == 0, done.stdout


# Docker


@pytest.fixture
def docker():
    """The instructions of the Dockerfile, as (word, rest)."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_copies_what_there_is_and_its_context_lets_in(docker):
    copied = [name for word, rest in docker if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    let_in = re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert set(copied) == set(let_in)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) <= set(copied)


def test_the_image_starts_the_server_as_no_one_and_without_torch(docker, client):
    said = dict(docker)  # the last of each
    assert "'.[serve]'" in "".join(rest for word, rest in docker if word == "RUN")
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    [command] = re.findall(r'"/opt/asif/bin/([\w-]+)"', said["CMD"])
    assert command in scripts
    assert int(said["USER"].split(":")[0]) > 0
    environment = dict(part.split("=") for part in said["ENV"].split())
    [port, path] = re.findall(r"http://127\.0\.0\.1:(\d+)(/[\w/]+)", said["HEALTHCHECK"])[0]
    assert port == said["EXPOSE"] == environment["ASIF_PORT"]
    assert client.get(path).status_code == 200


# Kubernetes


@pytest.fixture
def manifests():
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


@pytest.fixture
def pod(manifests):
    return manifests["Deployment"]["spec"]["template"]


def test_probes_ask_what_the_server_answers(pod, client, make_client):
    [container] = pod["spec"]["containers"]
    ready, live = (container[f"{name}Probe"]["httpGet"] for name in ("readiness", "liveness"))
    assert container["startupProbe"]["httpGet"] == ready
    assert client.get(ready["path"]).status_code == client.get(live["path"]).status_code == 200
    locked = make_client(None, api_keys="a-key")  # no key needed; alive while not ready
    assert (locked.get(ready["path"]).status_code, locked.get(live["path"]).status_code) == (503, 200)


def test_ports_and_names_fit_together(manifests, pod):
    [container] = pod["spec"]["containers"]
    [port] = container["ports"]
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment["ASIF_PORT"]["value"] == str(port["containerPort"])
    named = [container[f"{name}Probe"]["httpGet"]["port"] for name in ("startup", "readiness", "liveness")]
    named += [entry["targetPort"] for entry in manifests["Service"]["spec"]["ports"]]
    named += [entry["port"] for rule in manifests["NetworkPolicy"]["spec"]["ingress"] for entry in rule["ports"]]
    assert set(named) == {port["name"]}
    [mount], [volume] = container["volumeMounts"], pod["spec"]["volumes"]
    assert environment["ASIF_MODEL"]["value"] == mount["mountPath"] and mount["name"] == volume["name"]
    labels = pod["metadata"]["labels"]
    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels


def test_its_settings_are_ones_that_the_server_takes(pod, monkeypatch):
    for entry in pod["spec"]["containers"][0]["env"]:
        monkeypatch.setenv(entry["name"], entry.get("value", "notes:a-key"))
    settings = Settings()
    settings.check_binding()
    assert settings.keys == {"a-key": "notes"}


def test_the_pod_may_do_little(manifests, pod):
    [container] = pod["spec"]["containers"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert manifests["NetworkPolicy"]["spec"]["egress"] == []
