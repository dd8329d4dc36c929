"""contrib/kubernetes: valid by Kubernetes' own schemas, and consistent with the documentation.

No cluster is needed: kubernetes-validate has the schemas of the API.
"""

from pathlib import Path

import pytest
import yaml

from supervisor import config
from workers.units import parse_duration

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "contrib" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# One of the package's schemas; the fields used here are older than the oldest of them.
RELEASES = ("1.28", "1.37")
LAST_WORDS_S = 2.0


def documents():
    """Return every resource as (file, resource); kustomize's own file is not a resource."""
    for file in sorted(FOLDER.glob("*.yaml")):
        if file.name != "kustomization.yaml":
            for resource in yaml.safe_load_all(file.read_text()):
                yield file.name, resource


RESOURCES = {(one["kind"], one["metadata"]["name"]): one for _, one in documents()}
POD = RESOURCES["StatefulSet", "nightshift"]["spec"]["template"]["spec"]
SERVICE, PAGE = POD["containers"]


def mounts(container):
    return {mount["name"]: mount for mount in container["volumeMounts"]}


def environment(container):
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", sorted(RESOURCES), ids="-".join)
def test_kubernetes_knows_every_field(name, release):
    validator = pytest.importorskip(
        "kubernetes_validate", reason='pip install "nightshift-cron[test]" brings the schemas'
    )

    validator.validate(RESOURCES[name], release, strict=True)


def test_an_unknown_field_is_found():
    validator = pytest.importorskip("kubernetes_validate", reason="as above")
    wrong = yaml.safe_load((FOLDER / "stateful-set.yaml").read_text())
    wrong["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True

    with pytest.raises(validator.ValidationError, match="readOnlyRootFilesystem"):
        validator.validate(wrong, RELEASES[-1], strict=True)


def test_kustomize_applies_every_file_but_the_examples():
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]

    files = {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed) == {name for name in files if ".example." not in name}


def test_the_pod_may_do_no_more_than_the_restricted_profile_allows():
    pod = POD["securityContext"]

    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    assert f"\nUSER {pod['runAsUser']}:{pod['runAsGroup']}\n" in DOCKERFILE
    for container in POD["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_kubernetes_waits_longer_than_the_grace():
    grace_s = parse_duration(environment(SERVICE)["NIGHTSHIFT_SHUTDOWN_GRACE"])

    assert POD["terminationGracePeriodSeconds"] > grace_s + LAST_WORDS_S


def test_every_folder_that_the_image_writes_is_a_volume_and_jobs_yaml_comes_as_a_folder():
    found = mounts(SERVICE)
    claims = {
        claim["metadata"]["name"]
        for claim in RESOURCES["StatefulSet", "nightshift"]["spec"]["volumeClaimTemplates"]
    }

    written = {found[name]["mountPath"] for name in claims}
    assert all(f'"{path}"' in DOCKERFILE for path in written)
    assert written == {"/var/lib/nightshift", "/data", "/backups"}
    assert found["config"] == {
        "name": "config",
        "mountPath": "/etc/nightshift",
        "readOnly": True,
    }
    (volume,) = [each for each in POD["volumes"] if each["name"] == "config"]
    assert volume["configMap"]["name"] == "nightshift-config"


def test_the_page_shares_only_the_socket_and_cannot_be_reached_from_the_network():
    shared = set(mounts(PAGE)) & set(mounts(SERVICE))
    policy = RESOURCES["NetworkPolicy", "nightshift"]["spec"]

    assert shared == {"socket"}
    assert environment(PAGE) == {
        "NIGHTSHIFT_SOCKET": environment(SERVICE)["NIGHTSHIFT_SOCKET"],
    }
    assert "envFrom" not in PAGE
    assert "127.0.0.1:8470" in PAGE["args"]
    assert "--allow" not in PAGE["args"]
    ports = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    assert ports == [port["containerPort"] for port in SERVICE["ports"]] == [9187]


def test_what_selects_the_pod_selects_it():
    labels = RESOURCES["StatefulSet", "nightshift"]["spec"]["template"]["metadata"]["labels"]
    service, policy = RESOURCES["Service", "nightshift"], RESOURCES["NetworkPolicy", "nightshift"]

    assert service["spec"]["selector"] == labels
    assert policy["spec"]["podSelector"]["matchLabels"] == labels
    assert RESOURCES["StatefulSet", "nightshift"]["spec"]["selector"]["matchLabels"] == labels


def test_the_secrets_of_the_pod_are_those_of_the_example_and_may_be_absent():
    (environ,) = [one["secretRef"] for one in SERVICE["envFrom"]]
    (people,) = [one["secret"] for one in POD["volumes"] if "secret" in one]
    named = {environ["name"], people["secretName"]}

    assert named == {name for kind, name in RESOURCES if kind == "Secret"}
    assert environ["optional"] is people["optional"] is True
    assert "people" in RESOURCES["Secret", people["secretName"]]["stringData"]


def test_the_shipped_jobs_have_no_mistake():
    text = RESOURCES["ConfigMap", "nightshift-config"]["data"]["jobs.yaml"]

    parsed = config.parse(text.encode(), Path("/etc/nightshift/jobs.yaml"), {})

    assert parsed.problems == ()
    assert [job.name for job in parsed.config.jobs] == ["hello"]
    assert parsed.config.metrics == "0.0.0.0:9187"
