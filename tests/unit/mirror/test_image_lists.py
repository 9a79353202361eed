"""Lists of images that people have, and what is found in them."""

import pytest

from transfer.errors import InvalidConfig
from transfer.mirror.config.foreign.image_lists import read_images

PLAIN = f"""\
# base images
alpine
nginx:1.25   # web

docker://quay.io/org/app:v1
alpine:latest
ghcr.io/org/app@sha256:{"a" * 64}
"""

KUBERNETES = """\
# Source: chart/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      initContainers:
        - {name: init, image: busybox:1.36}
      containers:
        - {name: web, image: "nginx:1.25"}
        - {name: side, image: quay.io/org/side:v2}
      volumes:
        - {name: model, image: {reference: "quay.io/org/model:v3", pullPolicy: Always}}
        - {name: tmp, emptyDir: {}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          ephemeralContainers: [{name: debug, image: busybox:1.36}]
          containers: [{name: job, image: registry.example:5000/job:7}]
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Pod
    metadata: {name: one}
    spec: {containers: [{name: a, image: redis}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {image: not/an:image, text: "a --- b"}
---
apiVersion: example.com/v1
kind: Cluster
metadata: {name: db}
spec:
  imageName: quay.io/db/postgres:16
  components:
    - {image: quay.io/db/pooler:1}
    - {image: quay.io/db/backup:2}
"""

COMPOSE = """\
name: shop
services:
  web: {image: "nginx:1.25", ports: ["80:80"]}
  build: {build: .}
  db: {image: postgres}
"""

SYNCER = f"""\
quay.io/coreos/kube-rbac-proxy: quay.io/ruohe/kube-rbac-proxy
quay.io/coreos/app:v1.0,v1.1: [registry.example/app, registry.example/other]
ghcr.io/org/app@sha256:{"b" * 64}: registry.example/app
"""

DREGSY = """\
relay: skopeo
tasks:
  - name: one
    interval: 60
    source: {registry: registry.hub.docker.com, auth: secret}
    target: {registry: registry.example}
    mappings:
      - {from: library/busybox, to: mirror/busybox, tags: ['1.36', latest]}
      - {from: /library/alpine, to: mirror/alpine}
"""

OC_MIRROR = """\
kind: ImageSetConfiguration
apiVersion: mirror.openshift.io/v1alpha2
mirror:
  platform: {channels: [{name: stable-4.14}]}
  additionalImages:
    - {name: registry.redhat.io/ubi8/ubi:latest}
    - name: quay.io/org/tool:v1
"""


@pytest.mark.parametrize(
    ("text", "images", "repositories"),
    [
        (
            PLAIN,
            "docker.io/library/alpine:latest docker.io/library/nginx:1.25 quay.io/org/app:v1 ghcr.io/org/app@sha256:"
            + "a" * 64,
            "",
        ),
        (
            KUBERNETES,
            (
                "docker.io/library/busybox:1.36 docker.io/library/nginx:1.25 quay.io/org/side:v2 "
                "quay.io/org/model:v3 registry.example:5000/job:7 docker.io/library/redis:latest"
            ),
            "",
        ),
        (COMPOSE, "docker.io/library/nginx:1.25 docker.io/library/postgres:latest", ""),
        (
            SYNCER,
            "quay.io/coreos/app:v1.0 quay.io/coreos/app:v1.1 ghcr.io/org/app@sha256:" + "b" * 64,
            "quay.io/coreos/kube-rbac-proxy",
        ),
        (
            DREGSY,
            "registry.hub.docker.com/library/busybox:1.36 registry.hub.docker.com/library/busybox:latest",
            "registry.hub.docker.com/library/alpine",
        ),
        (OC_MIRROR, "registry.redhat.io/ubi8/ubi:latest quay.io/org/tool:v1", ""),
        ("- alpine:3\n- quay.io/org/app:v1\n", "docker.io/library/alpine:3 quay.io/org/app:v1", ""),
    ],
    ids=["lines", "kubernetes", "compose", "image-syncer", "dregsy", "oc-mirror", "a list of YAML"],
)
def test_images_are_found_once_by_their_full_names(text: str, images: str, repositories: str) -> None:
    found = read_images(text)

    assert [str(one) for one in found.images] == images.split()
    assert [str(one) for one in found.repositories] == repositories.split()


@pytest.mark.parametrize(
    ("path", "images"),
    [
        ("spec.imageName", ["quay.io/db/postgres:16"]),
        ("spec.components[*].image", ["quay.io/db/pooler:1", "quay.io/db/backup:2"]),
        ("$.spec.components[1].image", ["quay.io/db/backup:2"]),
        (".spec.components.image", ["quay.io/db/pooler:1", "quay.io/db/backup:2"]),
        ("spec.absent[*].image", []),
    ],
)
def test_custom_resources_have_images_where_a_path_says(path: str, images: list[str]) -> None:
    before = read_images(KUBERNETES).images
    found = read_images(KUBERNETES, image_paths=[path]).images

    assert [str(one) for one in found if one not in before] == images


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "it names no image"),
        ("# nothing\n\n", "it names no image"),
        ("kind: ConfigMap\napiVersion: v1\ndata: {}\n", "it names no image"),
        ("alpine\nUPPER\n", "line 2: "),
        ("a: b: c\n", "line 1: it is not YAML"),
        ("apiVersion: v1\nkind: Pod\n---\na: [\n", "line "),
        ("services: {web: {image: 'nginx:{{ .Values.tag }}'}}\n", "service web: "),
        ("quay.io/a/b:/v1.*/: x.example/b\n", "are a pattern"),
        ("a: &a [alpine]\nb: *a\n", "it names no image"),
        ("\n".join(["alpine:3 x"] * 2), "it names no image|not YAML"),
        ("x\x00y\n", "line 1"),
    ],
)
def test_what_is_no_list_is_refused_in_one_line(text: str, mistake: str) -> None:
    with pytest.raises(InvalidConfig, match=mistake) as caught:
        read_images(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["", ".", "a[", "a]b", "a[x]"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(InvalidConfig, match="--image-path"):
        read_images("alpine\n", image_paths=[path])
