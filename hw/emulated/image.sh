#!/bin/sh
# The root of the emulated machine, made from Debian's arm64 packages: OUT/vmlinuz, OUT/initrd.
#   image.sh OUT
set -eu
out=$1
root=$PWD/build-emulated-root
deb=$(find build-deb -name 'terminal-gateway_*_arm64.deb' | sort -V | tail -n 1)

# What the package depends on is there beforehand; the package itself dpkg installs inside.
depends=$(dpkg-deb -f "$deb" Depends | tr ',' '\n' |
    sed 's/ *(.*)//; s/.*| *//; s/ //g' | grep -v '^systemd')
# shellcheck disable=SC2086 # words
sh platform/debian/root.sh arm64 "$root" linux-image-arm64 systemd systemd-sysv udev kmod dpkg bash dash \
    base-files base-passwd coreutils diffutils findutils grep gzip sed tar util-linux mount \
    debianutils init-system-helpers libc-bin login perl-base procps iproute2 pciutils curl $depends

kernel=$(basename "$root"/boot/vmlinuz-*)
version=${kernel#vmlinuz-}
cp "$root/boot/$kernel" "$out/vmlinuz"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
# Hard links: the copy costs no room. Firmware, documents and most modules stay out.
cp -al "$root/." "$tree"
rm -rf "${tree:?}/boot" "$tree/usr/share/doc" "$tree/usr/share/man" "$tree/usr/share/locale" \
    "$tree/usr/share/info" "$tree/usr/share/i18n" "$tree/usr/lib/modules" "$tree/usr/share/initramfs-tools"
modules=$tree/usr/lib/modules/$version
mkdir -p "$modules"
cp "$root/usr/lib/modules/$version/modules.builtin" "$root/usr/lib/modules/$version/modules.order" \
    "$root/usr/lib/modules/$version/modules.builtin.modinfo" "$modules"
[ -f "$root/usr/lib/modules/$version/modules.dep" ] || depmod -b "$root" "$version"
for module in vfio-pci vfio_iommu_type1 virtio_console virtio_pci hugetlbfs arm_smmu_v3; do
    modprobe -d "$root" -S "$version" --show-depends $module 2>/dev/null | sed -n 's/^insmod //p'
done | sort -u | while read -r file; do
    install -D -m 644 "$file" "$modules/${file#*"/modules/$version/"}"
done
depmod -b "$tree" "$version"

put() { # PATH: from standard input, in place of a link to the root's
    mkdir -p "$(dirname "$tree/$1")"
    rm -f "$tree/$1"
    cat >"$tree/$1"
}
ln -s ../run "$tree/var/run"
echo tgw-dpu | put etc/hostname
echo 'root:x:0:0:root:/root:/bin/bash' | cat - "$root/etc/passwd" | awk -F: '!seen[$1]++' | put etc/passwd
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' | put etc/machine-id
printf 'virtio_console\n' | put etc/modules-load.d/rig.conf
printf '[Journal]\nStorage=volatile\nForwardToConsole=yes\nMaxLevelConsole=info\n' | put etc/systemd/journald.conf
# A root shell on the second console: what an operator has.
put etc/systemd/system/rig-console.service <<'UNIT'
[Unit]
After=multi-user.target
StartLimitIntervalSec=0
[Service]
Restart=always
RestartSec=500ms
KillSignal=SIGHUP
ExecStart=/bin/bash --norc --noediting
Environment=HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin SYSTEMD_PAGER= SYSTEMD_COLORS=0
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/hvc0
WorkingDirectory=/root
UNIT
mkdir -p "$tree/etc/systemd/system/multi-user.target.wants" "$tree/root"
ln -sf /etc/systemd/system/rig-console.service "$tree/etc/systemd/system/multi-user.target.wants/"
# Nothing that only a desktop or a disk has use for: each unit costs emulated seconds.
for unit in getty.target getty-static.service serial-getty@ttyAMA0.service systemd-logind.service \
    systemd-networkd.service systemd-resolved.service systemd-timesyncd.service \
    systemd-pstore.service systemd-hwdb-update.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-user-sessions.service systemd-random-seed.service \
    systemd-journal-catalog-update.service systemd-journal-flush.service systemd-update-done.service \
    systemd-machine-id-commit.service remote-fs.target e2scrub_reap.service fstrim.timer \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
done
cp "$deb" "$tree/root/"
(cd "$tree" && find . -print0 | cpio --quiet -0 -o -H newc) >"$out/initrd"
