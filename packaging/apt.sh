# Sourced. apt_install PACKAGE...: installs Debian packages as root or through sudo, or says what to do.
apt_install() {
    echo "Installing Debian packages: $*"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        echo "Not root, and no sudo here. As root, run: apt-get install $*" >&2
        exit 1
    fi
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
