# Sourced by checks that run programs of another architecture or release: Debian's packages, unpacked
# in a folder. apt finds and downloads them, dpkg-deb unpacks them; neither changes this machine.
# shellcheck shell=bash

# debian_apt ARCHITECTURE SUITE COMMAND ..: apt-get or apt-cache with folders of its own.
debian_apt() {
    local where=$PWD/build/debian/$1-$2 command=$3
    local options=(
        -o "APT::Architecture=$1" -o "APT::Architectures::=$1" -o APT::Sandbox::User=root
        -o "Dir::State=$where/state" -o "Dir::State::status=$where/status" -o "Dir::Cache=$where/cache"
        -o "Dir::Etc::SourceList=$where/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o APT::Install-Recommends=false
    )
    # An older list names packages that are no longer there.
    if [ -z "$(find "$where/indexed" -mtime -1 2>/dev/null)" ]; then
        rm -rf "$where/state" "$where/cache"
        mkdir -p "$where/state/lists/partial" "$where/cache/archives/partial"
        touch "$where/status"
        echo "deb http://deb.debian.org/debian $2 main" >"$where/sources.list"
        apt-get -qq "${options[@]}" update >"$where.log" 2>&1 ||
            { cat "$where.log"; echo "no packages of Debian $2 for $1"; return 1; }
        touch "$where/indexed"
    fi
    shift 3
    "$command" -qq "${options[@]}" "$@"
}

# debian_root ARCHITECTURE SUITE PACKAGE: unpacks a package and what it depends on, and sets
# $debian_root to the folder. What was unpacked by an earlier run is used again.
debian_root() {
    local where=$PWD/build/debian/$1-$2 deb folder
    mkdir -p "$where"
    debian_root=$where/root-$3
    [ ! -e "$debian_root/unpacked" ] || return 0
    # What was downloaded for another package of the suite would be unpacked as well.
    rm -rf "$debian_root" "$where/cache/archives/"*.deb
    debian_apt "$1" "$2" apt-get install --yes --download-only "$3" >"$where.log" 2>&1 ||
        { cat "$where.log"; echo "no $3 of Debian $2 for $1"; return 1; }
    for folder in bin sbin lib lib64; do # as in an installed Debian
        mkdir -p "$debian_root/usr/$folder"
        ln -s "usr/$folder" "$debian_root/$folder"
    done
    for deb in "$where/cache/archives/"*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$debian_root"
    done
    touch "$debian_root/unpacked"
}
